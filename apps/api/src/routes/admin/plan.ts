import { unixSeconds } from '@sluice/shared/clock'
import { modelOfCapability } from '@sluice/shared/models/capability'
import { formatSize } from '@sluice/shared/models/sizes'
import { formatMicros } from '@sluice/shared/money'
import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { z } from 'zod'
import type { Config } from '../../config/config.ts'
import { DEMAND_DAYS, type Demand, type DemandRow } from '../../economics/demand-hours.ts'
import { readServicePlan, type ServicePlan } from '../../economics/service-plan.ts'
import { scopedRoute } from '../../http/route.ts'

const BPS = 10_000

const daysField = z
  .string()
  .regex(/^([1-9]|1\d|2[0-8])$/, `a whole number from 1 to ${DEMAND_DAYS}`)
  .default('7')
  .transform(Number)
  .meta({
    description: 'Days of demand, until now.',
    override: ({ jsonSchema }) => {
      delete jsonSchema.pattern
      Object.assign(jsonSchema, { type: 'integer', minimum: 1, maximum: DEMAND_DAYS, default: 7 })
    },
  })
const amountField = z.string().meta({ description: 'A decimal number, exact.', example: '1.99' })
const classField = z.string().meta({ description: 'The resolution class.', example: '256px' })
const capabilityFields = {
  model: z.string(),
  mode: z.enum(['t2v', 't2i2v']).meta({ description: 'Of i2v it is t2v: they take the same time.' }),
}

const planSchema = z
  .object({
    object: z.literal('plan'),
    from: z.int().meta({ description: 'Unix seconds: demand and mix are of the time from here.' }),
    to: z.int(),
    currency: z.string(),
    demand: z
      .array(z.object({ hours: z.string().meta({ example: '17' }), videos: z.number() }))
      .meta({ description: 'Videos submitted in each hour of the UTC day, on average.' }),
    mix: z
      .array(
        z.object({
          share: z.int().meta({ description: 'Videos that were submitted.' }),
          account: z.string(),
          tier: z.enum(SERVICE_TIERS),
          ...capabilityFields,
          class: classField,
          size: z.string(),
          frames: z.int(),
          steps: z.int(),
          video_tokens: z.int(),
        }),
      )
      .meta({ description: 'What they asked for, the thousand most frequent.' }),
    pools: z.array(
      z.object({
        pool: z.string(),
        gpus: z.int(),
        gpus_per_slot: z.int(),
        slot_price_per_hour: amountField.nullable(),
        models: z.array(z.string()),
        device: z.string(),
        switch_seconds: z.number(),
        frames_max: z.int(),
        pixels_max: z.int(),
        sequence_devices: z.int(),
      }),
    ),
    paces: z.array(
      z.object({
        pool: z.string(),
        ...capabilityFields,
        size: z.string(),
        frames: z.int(),
        step_ms: z.number(),
        overhead_ms: z.number(),
        measured: z.boolean().meta({ description: 'False: what the model says, since nobody measured it.' }),
      }),
    ),
    prices: z.array(z.object({ model: z.string(), class: classField, per_million: amountField })),
    multipliers: z.object({ priority: z.number(), standard: z.number(), flex: z.number() }),
    accounts: z.array(
      z.object({ account: z.string(), name: z.string(), weight: z.int(), running_max: z.int().nullable() }),
    ),
    account_share_percent: z.int(),
    switch_wait_seconds: z.number(),
  })
  .meta({ id: 'Plan' })

export const readPlanRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/plan',
    operationId: 'readPlan',
    tag: 'admin',
    summary: 'What a plan starts from: demand, mix, pools, paces, prices and accounts',
    description:
      'What `sluice plan --from-service` asks for; the answer is a plan as that command reads it. Demand and mix come from sums of whole hours, and of what came since.',
    query: z.strictObject({ days: daysField }),
    answers: { 200: { description: 'A plan.', schema: planSchema } },
    errors: [],
  },
  async ({ context, query }) =>
    planJson(await readServicePlan(context.db, context.config, query.days), context.config),
)

function planJson(
  { demand, pools, paces, prices, accounts, flexMultiplierBps }: ServicePlan,
  config: Pick<Config, 'currency' | 'tierMultiplierBps' | 'accountSharePercent' | 'switchWaitMsMax'>,
): z.input<typeof planSchema> {
  const { priority, standard } = config.tierMultiplierBps
  return {
    object: 'plan',
    from: unixSeconds(demand.from),
    to: unixSeconds(demand.to),
    currency: config.currency,
    demand: demandJson(demand),
    mix: demand.rows.map(mixJson),
    pools: pools.map((pool) => ({
      pool: pool.name,
      gpus: pool.slots * pool.gpusPerSlot,
      gpus_per_slot: pool.gpusPerSlot,
      slot_price_per_hour:
        pool.slotPriceMicrosPerHour === null ? null : formatMicros(pool.slotPriceMicrosPerHour),
      models: [...pool.capabilities],
      device: pool.device,
      switch_seconds: pool.switchMs / 1_000,
      frames_max: pool.framesMax,
      pixels_max: pool.pixelsMax,
      sequence_devices: pool.sequenceDevices,
    })),
    paces: paces.map((pace) => ({
      pool: pace.pool,
      ...capabilityJson(pace.capability),
      size: formatSize(pace),
      frames: pace.numFrames,
      step_ms: rounded(pace.stepMs),
      overhead_ms: rounded(pace.overheadMs),
      measured: pace.isMeasured,
    })),
    prices: prices.map(({ model, resolution, microsPerMillion }) => ({
      model,
      class: resolution,
      per_million: formatMicros(microsPerMillion),
    })),
    multipliers: { priority: priority / BPS, standard: standard / BPS, flex: flexMultiplierBps / BPS },
    accounts: accounts.map(({ id, name, weight, runningMax }) => ({
      account: id,
      name,
      weight,
      running_max: runningMax,
    })),
    account_share_percent: config.accountSharePercent,
    switch_wait_seconds: config.switchWaitMsMax / 1_000,
  }
}

/** An hour of the day that nobody has looked at yet is taken for as busy as the others are on average. */
function demandJson({ hours }: Demand): { hours: string; videos: number }[] {
  const videos = hours.reduce((sum, hour) => sum + Number(hour.videos), 0)
  const lookedAt = hours.reduce((sum, hour) => sum + hour.lookedAtHours, 0)
  const mean = lookedAt === 0 ? 0 : videos / lookedAt
  return hours.map((hour, index) => ({
    hours: String(index),
    videos: rounded(hour.lookedAtHours === 0 ? mean : Number(hour.videos) / hour.lookedAtHours),
  }))
}

function mixJson(row: DemandRow) {
  return {
    share: Number(row.videos),
    account: row.account_id,
    tier: row.service_tier,
    ...capabilityJson(row.capability),
    class: row.resolution,
    size: formatSize(row),
    frames: row.num_frames,
    steps: row.num_steps,
    video_tokens: Number(row.video_tokens),
  }
}

function capabilityJson(capability: string): { model: string; mode: 't2v' | 't2i2v' } {
  return { model: modelOfCapability(capability), mode: capability.endsWith('/t2i2v') ? 't2i2v' : 't2v' }
}

function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6
}
