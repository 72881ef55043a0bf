import type { Figures } from '@sluice/shared/economics/figures'
import { formatMicros } from '@sluice/shared/money'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import type { ClassCost } from './class-costs.ts'

/** What a pool makes of a class, and what that is sold at by tier; null = nothing is set. */
export interface PricedClass extends ClassCost {
  priceMicrosPerMillion: Record<ServiceTier, bigint | null>
}

/** What of a pool says whether it is sold below its cost. */
export interface JudgedPool {
  pool: string
  classes: readonly PricedClass[]
  lastDay: Pick<
    Figures,
    | 'availableGpuMs'
    | 'utilisation'
    | 'breakEvenUtilisation'
    | 'costMicrosPerMillion'
    | 'revenueMicrosPerMillion'
  >
}

/** A pool that is sold below its own cost. */
export interface PriceWarning {
  pool: string
  /** Null: what it earned with all of them. */
  sold: { model: string; resolution: string; tier: ServiceTier } | null
  priceMicrosPerMillion: bigint
  costMicrosPerMillion: bigint
  problem: string
}

/** A pool that was there for less time in the last day is not judged by it. */
const JUDGED_MS_MIN = 3_600_000n

/**
 * The prices below what a pool costs though it never idles, and the pools that earned less than they cost in
 * the last day. Flex goes to the cheapest pool, so its price is judged there alone. Pure.
 */
export function priceWarnings(pools: readonly JudgedPool[], currency: string): PriceWarning[] {
  return pools.flatMap((pool) => [...belowCost(pool, pools, currency), ...earnedTooLittle(pool, currency)])
}

function belowCost({ pool, classes }: JudgedPool, pools: readonly JudgedPool[], currency: string) {
  return classes.flatMap((one) => {
    const { model, resolution, costMicrosPerMillion: cost, priceMicrosPerMillion } = one
    if (cost === null) return []
    const isCheapest = pools.every((other) => (costOf(other, one) ?? cost) >= cost)
    return SERVICE_TIERS.flatMap((tier): PriceWarning[] => {
      const price = priceMicrosPerMillion[tier]
      if (price === null || price >= cost || (tier === 'flex' && !isCheapest)) return []
      const problem =
        `pool ${pool}: ${model} ${resolution} is sold at ${formatMicros(price)} ${currency} per million ` +
        `tokens with ${tier} and costs ${formatMicros(cost)} there, however busy it is`
      return [
        {
          pool,
          sold: { model, resolution, tier },
          priceMicrosPerMillion: price,
          costMicrosPerMillion: cost,
          problem,
        },
      ]
    })
  })
}

function costOf({ classes }: JudgedPool, { model, resolution }: PricedClass): bigint | null {
  const same = classes.find((one) => one.model === model && one.resolution === resolution)
  return same?.costMicrosPerMillion ?? null
}

function earnedTooLittle({ pool, lastDay }: JudgedPool, currency: string): PriceWarning[] {
  const { availableGpuMs, utilisation, breakEvenUtilisation } = lastDay
  const { costMicrosPerMillion: cost, revenueMicrosPerMillion: price } = lastDay
  if (cost === null || price === null || price >= cost || availableGpuMs < JUDGED_MS_MIN) return []
  const cover =
    breakEvenUtilisation === null || breakEvenUtilisation > 1
      ? 'no utilisation would cover that at these prices'
      : `${percent(breakEvenUtilisation)} would cover that`
  const problem =
    `pool ${pool}: it earned ${formatMicros(price)} ${currency} per million tokens in the last 24 hours and ` +
    `cost ${formatMicros(cost)}, busy for ${percent(utilisation ?? 0)} of them; ${cover}`
  return [{ pool, sold: null, priceMicrosPerMillion: price, costMicrosPerMillion: cost, problem }]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
