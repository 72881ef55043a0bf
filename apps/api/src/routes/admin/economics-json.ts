import { WASTE_CAUSES } from '@sluice/shared/economics/facts'
import type { Figures } from '@sluice/shared/economics/figures'
import { formatMicros } from '@sluice/shared/money'
import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { z } from 'zod'
import type { LivePool } from '../../economics/live-pools.ts'
import type { PricedClass, PriceWarning } from '../../economics/price-warnings.ts'

export const ECONOMICS_GROUPS = ['total', 'pool', 'day', 'pool_day'] as const
export type Group = (typeof ECONOMICS_GROUPS)[number]

const amountField = z.string().meta({ description: 'A decimal number, exact.', example: '0.08316' })
const seconds = z.number().min(0)
const ratioField = z.number().nullable()

export const figuresSchema = z.object({
  completed: z.int().meta({ description: 'Videos that ended so.' }),
  failed: z.int(),
  cancelled: z.int(),
  generated_tokens: z.int().meta({ description: 'Of all attempts at these videos: charged and wasted.' }),
  charged_tokens: z.int(),
  wasted_tokens: z.int(),
  wasted: z.object(
    Object.fromEntries(WASTE_CAUSES.map((cause) => [cause, z.int()])) as Record<
      (typeof WASTE_CAUSES)[number],
      z.ZodInt
    >,
  ),
  available_gpu_seconds: seconds.meta({
    description: 'Ready slots times their GPUs times the time they were there.',
  }),
  busy_gpu_seconds: seconds,
  switching_seconds: seconds.meta({ description: 'GPU time that went into switching models.' }),
  switches: z.int(),
  tokens_per_gpu_second: ratioField.meta({ description: 'While busy.' }),
  utilisation: ratioField.meta({ description: 'Busy of available GPU time.' }),
  unpriced_gpu_seconds: seconds.meta({ description: 'Available GPU time of workers that declared no cost.' }),
  gpu_cost: amountField
    .nullable()
    .meta({ description: 'Null as long as a worker that was there declared no cost.' }),
  revenue: amountField.meta({ description: 'What was charged, less rebates.' }),
  promises_kept: z.int().meta({ description: 'Of the videos that ended.' }),
  promises_missed: z.int(),
  rebates: amountField.meta({ description: 'Given back for missed promises.' }),
  cost_per_million: amountField.nullable().meta({ description: 'Per million tokens charged.' }),
  revenue_per_million: amountField.nullable().meta({ description: 'Per million tokens charged.' }),
  margin: ratioField.meta({ description: '(revenue - cost) / revenue' }),
  profit_over_cost: ratioField.meta({ description: '(revenue - cost) / cost' }),
  break_even_utilisation: ratioField.meta({
    description: 'Where revenue would cover cost; above 1, nowhere.',
  }),
})

const classSchema = z
  .object({
    model: z.string(),
    resolution: z.string().meta({ example: '768px' }),
    tokens_per_second: ratioField.meta({ description: 'Of a busy slot, by the pace measured there.' }),
    cost_per_million: amountField.nullable().meta({ description: 'While the slot is busy.' }),
    price_per_million: z
      .object(
        Object.fromEntries(SERVICE_TIERS.map((tier) => [tier, amountField.nullable()])) as Record<
          (typeof SERVICE_TIERS)[number],
          z.ZodNullable<typeof amountField>
        >,
      )
      .meta({ description: 'In force now, by tier.' }),
  })
  .meta({ id: 'ClassEconomics' })

const poolNowSchema = z
  .object({
    pool: z.string(),
    workers: z.int(),
    slots: z.int(),
    busy_slots: z.int(),
    gpus: z.int(),
    busy_gpus: z.int(),
    cost_per_hour: amountField.nullable(),
    last_day: figuresSchema.meta({
      description: 'Of the last 24 whole hours (UTC) and the one that has begun.',
    }),
    classes: z
      .array(classSchema)
      .meta({ description: 'What it makes by model and class, as far as it was measured there.' }),
  })
  .meta({ id: 'PoolNow' })

const warningSchema = z
  .object({
    pool: z.string(),
    model: z.string().nullable().meta({ description: 'Null: the pool with all that it sold in 24 hours.' }),
    resolution: z.string().nullable().meta({ example: '768px' }),
    tier: z.enum(SERVICE_TIERS).nullable(),
    price_per_million: amountField,
    cost_per_million: amountField,
    problem: z.string(),
  })
  .meta({ id: 'PriceWarning' })

export const economicsSchema = z
  .object({
    object: z.literal('economics'),
    from: z.int(),
    to: z.int(),
    group_by: z.enum(ECONOMICS_GROUPS),
    currency: z.string(),
    live: z.array(poolNowSchema).meta({ description: 'The pools this moment.' }),
    warnings: z
      .array(warningSchema)
      .meta({
        description: 'Prices below what a pool costs though it never idles, and pools that lost money.',
      }),
    data: z.array(
      figuresSchema.extend({
        day: z.string().optional().meta({ description: 'The UTC day.' }),
        pool: z.string().nullable().optional().meta({ description: 'Null: videos that no pool ever took.' }),
      }),
    ),
    total: figuresSchema,
  })
  .meta({ id: 'EconomicsReport' })

/** What a row of each grouping is the sum of. */
export const SUMS_OF: Record<Group, readonly ('day' | 'pool')[]> = {
  total: [],
  pool: ['pool'],
  day: ['day'],
  pool_day: ['day', 'pool'],
}

export function figuresJson(figures: Figures): z.input<typeof figuresSchema> {
  const inSeconds = (ms: bigint) => Number(ms) / 1_000
  return {
    completed: Number(figures.completed),
    failed: Number(figures.failed),
    cancelled: Number(figures.cancelled),
    generated_tokens: Number(figures.generatedTokens),
    charged_tokens: Number(figures.chargedTokens),
    wasted_tokens: Number(figures.wastedTokens),
    wasted: {
      lost_worker: Number(figures.wasted.lost_worker),
      failed: Number(figures.wasted.failed),
      yielded: Number(figures.wasted.yielded),
      lost_checkpoint: Number(figures.wasted.lost_checkpoint),
      cancelled: Number(figures.wasted.cancelled),
      expired: Number(figures.wasted.expired),
    },
    available_gpu_seconds: inSeconds(figures.availableGpuMs),
    busy_gpu_seconds: inSeconds(figures.busyGpuMs),
    switching_seconds: inSeconds(figures.switchingGpuMs),
    switches: Number(figures.switches),
    tokens_per_gpu_second: figures.tokensPerGpuSecond,
    utilisation: figures.utilisation,
    unpriced_gpu_seconds: inSeconds(figures.unpricedGpuMs),
    gpu_cost: moneyOrNull(figures.costMicros),
    revenue: formatMicros(figures.revenueMicros),
    promises_kept: Number(figures.promisesKept),
    promises_missed: Number(figures.promisesMissed),
    rebates: formatMicros(figures.rebateMicros),
    cost_per_million: moneyOrNull(figures.costMicrosPerMillion),
    revenue_per_million: moneyOrNull(figures.revenueMicrosPerMillion),
    margin: figures.margin,
    profit_over_cost: figures.profitOverCost,
    break_even_utilisation: figures.breakEvenUtilisation,
  }
}

export function poolNowJson(pool: LivePool): z.input<typeof poolNowSchema> {
  return {
    pool: pool.pool,
    workers: pool.workers,
    slots: pool.slots,
    busy_slots: pool.busySlots,
    gpus: pool.gpus,
    busy_gpus: pool.busyGpus,
    cost_per_hour: moneyOrNull(pool.costPerHourMicros),
    last_day: figuresJson(pool.lastDay),
    classes: pool.classes.map(classJson),
  }
}

function classJson(one: PricedClass): z.input<typeof classSchema> {
  const { priority, standard, flex } = one.priceMicrosPerMillion
  return {
    model: one.model,
    resolution: one.resolution,
    tokens_per_second: one.tokensPerSecond,
    cost_per_million: moneyOrNull(one.costMicrosPerMillion),
    price_per_million: {
      priority: moneyOrNull(priority),
      standard: moneyOrNull(standard),
      flex: moneyOrNull(flex),
    },
  }
}

export function warningJson(warning: PriceWarning): z.input<typeof warningSchema> {
  return {
    pool: warning.pool,
    model: warning.sold?.model ?? null,
    resolution: warning.sold?.resolution ?? null,
    tier: warning.sold?.tier ?? null,
    price_per_million: formatMicros(warning.priceMicrosPerMillion),
    cost_per_million: formatMicros(warning.costMicrosPerMillion),
    problem: warning.problem,
  }
}

function moneyOrNull(micros: bigint | null): string | null {
  return micros === null ? null : formatMicros(micros)
}
