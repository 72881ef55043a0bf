import type { ExpectedEnd } from '@sluice/gate/forecast/simulate'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { EtaBounds } from './eta-bounds.ts'

/** What a customer is told of a video that has not ended. */
export interface Forecast {
  /** 1 = next; null for a video that runs. */
  position: number | null
  /** Seconds until it is stored; null while there is no pool that could run it. */
  etaSeconds: { p50: number; p90: number } | null
}

/** The same end, seen `ms` later. */
export function later(end: ExpectedEnd, ms: number): ExpectedEnd {
  const left = (atMs: number) => Math.max(0, atMs - ms)
  return { ...end, startMs: left(end.startMs), freeMs: left(end.freeMs), storedMs: left(end.storedMs) }
}

/** The times in which it will be stored, as far as forecasts came true lately. */
export function etaSecondsOf(
  end: ExpectedEnd,
  tier: ServiceTier,
  bounds: EtaBounds,
): { p50: number; p90: number } {
  const factors = bounds.of(end, tier)
  const tenths = (factor: number) => Math.round((end.storedMs * factor) / 100) / 10
  return { p50: tenths(factors.p50), p90: tenths(factors.p90) }
}
