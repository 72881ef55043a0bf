import { costMicros } from '@sluice/shared/money'
import { divideRounded, ratio } from './ratio.ts'

const BASIS_POINTS = 10_000n
const SECONDS_PER_DAY = 86_400n

/** Revenue of `tokens` tokens at a price per million, in micro-units. */
export function revenueMicros(tokens: bigint, priceMicrosPerMillion: bigint): bigint {
  return costMicros(tokens, priceMicrosPerMillion, BASIS_POINTS)
}

/** What a million tokens cost or brought, in micro-units; null without tokens. */
export function microsPerMillion(amountMicros: bigint, tokens: bigint): bigint | null {
  return tokens === 0n ? null : divideRounded(amountMicros * 1_000_000n, tokens)
}

/** (revenue - cost) / revenue: the share of revenue that is left, -7 = -700 %. Null without revenue. */
export function margin(revenueMicros: bigint, costMicros: bigint): number | null {
  return ratio(revenueMicros - costMicros, revenueMicros)
}

/** (revenue - cost) / cost: 5.45 = 545 %. Null without cost. */
export function profitOverCost(revenueMicros: bigint, costMicros: bigint): number | null {
  return ratio(revenueMicros - costMicros, costMicros)
}

/** The cost that leaves a profit of `profitBps` basis points of itself (54,500 = 545 %), in micro-units. */
export function costBehindProfit(revenueMicros: bigint, profitBps: bigint): bigint {
  return divideRounded(revenueMicros * BASIS_POINTS, BASIS_POINTS + profitBps)
}

/**
 * The utilisation at which revenue covers cost, when a busy GPU goes on earning what it earned and an idle one goes on costing
 * what it cost: cost * busy / (revenue * available). Above 1 no utilisation would do. Null without revenue or GPUs.
 */
export function breakEvenUtilisation(sums: {
  revenueMicros: bigint
  costMicros: bigint
  busyMs: bigint
  availableMs: bigint
}): number | null {
  return ratio(sums.costMicros * sums.busyMs, sums.revenueMicros * sums.availableMs)
}

/** Tokens of a device that makes `tokensPerSecond` for `days` days. */
export function tokensInDays(tokensPerSecond: bigint, days: bigint): bigint {
  return tokensPerSecond * SECONDS_PER_DAY * days
}
