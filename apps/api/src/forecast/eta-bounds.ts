import type { ExpectedEnd } from '@sluice/gate/forecast/expected-end'
import type { ServiceTier } from '@sluice/shared/service-tier'

/** A video of the sample: what was expected of it, uncorrected, and how long it took. */
export interface EtaOutcome {
  pool: string
  tier: ServiceTier
  /** The pace was measured that its time on the device was made of. */
  isMeasured: boolean
  startMs: number
  storedMs: number
  lateMs: number
  tookMs: number
}

/** Half of all videos come within p50 times what is expected, nine of ten within p90 times the late time. */
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
/** What was assumed of a shape says next to nothing of one that was measured, and the other way round. */
const OTHER_PACE = 0.02
/** After so many newer ones of its pool an outcome counts half: paces are measured, and loads change. */
const HALVED_AFTER = 40

/**
 * How far forecasts may be trusted, from how the newest ones came out: the shares by which videos came later
 * than expected, weighted by how much they are like the one that is asked for. So whatever makes forecasts
 * wrong (later arrivals that go first, a pool that is slower than it was) is in the bound as soon as it is in
 * the outcomes. Pure.
 */
export class EtaBounds {
  readonly #outcomes: readonly EtaOutcome[]
  /** What each counts for its age. */
  readonly #newness: readonly number[]
  readonly #factors = new Map<string, EtaFactors>()

  /** The newest first. */
  constructor(outcomes: readonly EtaOutcome[] = []) {
    this.#outcomes = outcomes
    const newer = new Map<string, number>()
    this.#newness = outcomes.map(({ pool }) => {
      const count = newer.get(pool) ?? 0
      newer.set(pool, count + 1)
      return 0.5 ** (count / HALVED_AFTER)
    })
  }

  /** For an end that is expected now of such a video. */
  of(
    end: Pick<ExpectedEnd, 'pool' | 'startMs' | 'storedMs'>,
    { tier, isMeasured }: Pick<EtaOutcome, 'tier' | 'isMeasured'>,
  ): EtaFactors {
    const wait = waitOf(end)
    const key = `${end.pool} ${tier} ${wait} ${isMeasured}`
    const known = this.#factors.get(key)
    if (known !== undefined) return known
    const factors = this.#factorsOf({ pool: end.pool, tier, isMeasured, wait })
    this.#factors.set(key, factors)
    return factors
  }

  #factorsOf({
    pool,
    tier,
    isMeasured,
    wait,
  }: Pick<EtaOutcome, 'pool' | 'tier' | 'isMeasured'> & { wait: number }): EtaFactors {
    const weights = this.#outcomes.map(
      (outcome, at) =>
        (this.#newness[at] ?? 0) *
        (outcome.pool === pool ? 1 : OTHER_POOL) *
        (outcome.tier === tier ? 1 : OTHER_TIER) *
        (outcome.isMeasured === isMeasured ? 1 : OTHER_PACE) *
        OTHER_WAIT ** Math.abs(waitOf(outcome) - wait),
    )
    const assumed = ASSUMED_RATIOS.map((ratio) => ({ ratio, weight: 1 }))
    const sorted = (expectedMs: (outcome: EtaOutcome) => number) =>
      this.#outcomes
        .map((outcome, at) => ({
          ratio: outcome.tookMs / Math.max(expectedMs(outcome), 1),
          weight: weights[at] ?? 0,
        }))
        .concat(assumed)
        .sort((a, b) => a.ratio - b.ratio)
    return {
      p50: quantile(
        sorted(({ storedMs }) => storedMs),
        0.5,
      ),
      p90: quantile(
        sorted(({ lateMs }) => lateMs),
        0.9,
      ),
    }
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
