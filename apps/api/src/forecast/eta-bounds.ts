import type { ExpectedEnd } from '@sluice/gate/forecast/simulate'
import type { ServiceTier } from '@sluice/shared/service-tier'

/** A video of the sample: what was expected of it, uncorrected, and how long it took. */
export interface EtaOutcome {
  pool: string
  tier: ServiceTier
  startMs: number
  storedMs: number
  tookMs: number
}

/** What an expected time is multiplied by: half of all videos come within p50, nine of ten within p90. */
export interface EtaFactors {
  p50: number
  p90: number
}

/**
 * Outcomes that are believed before there are any: half come as expected, and one in ten is late by 30 %. Ten
 * of them, so that some dozens of real ones outweigh them.
 */
const ASSUMED_RATIOS: readonly number[] = [0.85, 0.92, 0.96, 0.98, 1, 1.02, 1.06, 1.12, 1.2, 1.3]
/** What an outcome of another pool, tier or kind of wait counts beside one of the same. */
const OTHER_POOL = 0.1
const OTHER_TIER = 0.25
const OTHER_WAIT = 0.1

/**
 * How far forecasts may be trusted, from how the newest ones came out: the shares by which videos came later
 * than expected, weighted by how much they are like the one that is asked for. So whatever makes forecasts
 * wrong (later arrivals that go first, a pool that is slower than it was) is in the bound as soon as it is in
 * the outcomes. Pure.
 */
export class EtaBounds {
  readonly #outcomes: readonly EtaOutcome[]
  readonly #factors = new Map<string, EtaFactors>()

  constructor(outcomes: readonly EtaOutcome[] = []) {
    this.#outcomes = outcomes
  }

  /** For an end that is expected now of a video of this tier. */
  of(end: Pick<ExpectedEnd, 'pool' | 'startMs' | 'storedMs'>, tier: ServiceTier): EtaFactors {
    const wait = waitOf(end)
    const key = `${end.pool} ${tier} ${wait}`
    const known = this.#factors.get(key)
    if (known !== undefined) return known
    const factors = this.#factorsOf(end.pool, tier, wait)
    this.#factors.set(key, factors)
    return factors
  }

  #factorsOf(pool: string, tier: ServiceTier, wait: number): EtaFactors {
    const weighted = this.#outcomes.map((outcome) => ({
      ratio: outcome.tookMs / Math.max(outcome.storedMs, 1),
      weight:
        (outcome.pool === pool ? 1 : OTHER_POOL) *
        (outcome.tier === tier ? 1 : OTHER_TIER) *
        OTHER_WAIT ** Math.abs(waitOf(outcome) - wait),
    }))
    const assumed = ASSUMED_RATIOS.map((ratio) => ({ ratio, weight: 1 }))
    const sorted = [...weighted, ...assumed].sort((a, b) => a.ratio - b.ratio)
    const p50 = quantile(sorted, 0.5)
    return { p50, p90: Math.max(p50, quantile(sorted, 0.9)) }
  }
}

/** 0 = its device begins at once, 1 = it waits for less time than it then takes, 2 = for longer. */
function waitOf({ startMs, storedMs }: Pick<EtaOutcome, 'startMs' | 'storedMs'>): number {
  const share = startMs / Math.max(storedMs, 1)
  if (share < 0.1) return 0
  return share < 0.5 ? 1 : 2
}

/** The ratio that `share` of the weight lies at or below. */
function quantile(sorted: readonly { ratio: number; weight: number }[], share: number): number {
  const all = sorted.reduce((sum, { weight }) => sum + weight, 0)
  let below = 0
  for (const { ratio, weight } of sorted) {
    below += weight
    if (below >= share * all) return ratio
  }
  return sorted.at(-1)?.ratio ?? 1
}
