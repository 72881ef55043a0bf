import type { ExpectedEnd } from '@sluice/gate/forecast/expected-end'
import type { EtaBounds, EtaOutcome } from './eta-bounds.ts'

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
  return {
    ...end,
    startMs: left(end.startMs),
    freeMs: left(end.freeMs),
    storedMs: left(end.storedMs),
    lateMs: left(end.lateMs),
  }
}

/** The times in which it will be stored, as far as forecasts came true lately. */
export function etaSecondsOf(
  end: ExpectedEnd,
  video: Pick<EtaOutcome, 'tier' | 'isMeasured'>,
  bounds: EtaBounds,
): { p50: number; p90: number } {
  const factors = bounds.of(end, video)
  const tenths = (ms: number) => Math.round(ms / 100) / 10
  const p50 = tenths(end.storedMs * factors.p50)
  return { p50, p90: Math.max(p50, tenths(end.lateMs * factors.p90)) }
}
