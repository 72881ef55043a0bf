import { type Facts, WASTE_CAUSES, type WasteCause } from './facts.ts'
import {
  breakEvenUtilisation,
  divideRounded,
  margin,
  microsPerMillion,
  profitOverCost,
  ratio,
} from './money-rates.ts'

const HOUR_MS = 3_600_000n

/**
 * What a pool (or all) made and cost. What is not known is null, never 0. docs/economics.md has each formula.
 */
export interface Figures {
  completed: bigint
  failed: bigint
  cancelled: bigint
  generatedTokens: bigint
  chargedTokens: bigint
  wastedTokens: bigint
  wasted: Record<WasteCause, bigint>
  availableGpuMs: bigint
  busyGpuMs: bigint
  switchingGpuMs: bigint
  switches: bigint
  tokensPerGpuSecond: number | null
  /** Busy time of available time. */
  utilisation: number | null
  /** Time of workers that declared no cost: as long as there is any, cost and all that needs it are null. */
  unpricedGpuMs: bigint
  costMicros: bigint | null
  /** What was charged, less rebates. */
  revenueMicros: bigint
  promisesKept: bigint
  promisesMissed: bigint
  rebateMicros: bigint
  /** Per million tokens charged. */
  costMicrosPerMillion: bigint | null
  revenueMicrosPerMillion: bigint | null
  margin: number | null
  profitOverCost: number | null
  breakEvenUtilisation: number | null
}

/** The figures that follow from these sums. */
export function figuresOf(facts: Facts): Figures {
  const wasted = Object.fromEntries(WASTE_CAUSES.map((cause) => [cause, facts[`wasted_${cause}`]])) as Record<
    WasteCause,
    bigint
  >
  const wastedTokens = Object.values(wasted).reduce((sum, tokens) => sum + tokens, 0n)
  const generatedTokens = facts.charged_tokens + wastedTokens
  const revenue = facts.revenue_micros
  const cost = facts.unpriced_gpu_ms > 0n ? null : divideRounded(facts.cost_micros_per_hour_ms, HOUR_MS)
  const withCost = <T>(work: (costMicros: bigint) => T): T | null => (cost === null ? null : work(cost))
  return {
    completed: facts.completed,
    failed: facts.failed,
    cancelled: facts.cancelled,
    generatedTokens,
    chargedTokens: facts.charged_tokens,
    wastedTokens,
    wasted,
    availableGpuMs: facts.available_gpu_ms,
    busyGpuMs: facts.busy_gpu_ms,
    switchingGpuMs: facts.switching_gpu_ms,
    switches: facts.switches,
    tokensPerGpuSecond: ratio(generatedTokens * 1_000n, facts.work_gpu_ms),
    utilisation: ratio(facts.busy_gpu_ms, facts.available_gpu_ms),
    unpricedGpuMs: facts.unpriced_gpu_ms,
    costMicros: cost,
    revenueMicros: revenue,
    promisesKept: facts.promises_kept,
    promisesMissed: facts.promises_missed,
    rebateMicros: facts.rebate_micros,
    costMicrosPerMillion: withCost((costMicros) => microsPerMillion(costMicros, facts.charged_tokens)),
    revenueMicrosPerMillion: microsPerMillion(revenue, facts.charged_tokens),
    margin: withCost((costMicros) => margin(revenue, costMicros)),
    profitOverCost: withCost((costMicros) => profitOverCost(revenue, costMicros)),
    breakEvenUtilisation: withCost((costMicros) =>
      breakEvenUtilisation({
        revenueMicros: revenue,
        costMicros,
        busyMs: facts.busy_gpu_ms,
        availableMs: facts.available_gpu_ms,
      }),
    ),
  }
}
