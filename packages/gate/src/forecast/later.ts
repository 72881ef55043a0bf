import { type FlexPrices, msUntilWithinMaximum } from '../flex/flex-price.ts'
import type { HeadRow } from '../head-row.ts'
import type { ExpectedEnd, Forecast } from './expected-end.ts'

/** What decides when a flex video may be dispatched. */
export type FlexWait = Pick<HeadRow, 'multiplier_bps_max' | 'not_before_in_ms'>

/**
 * Milliseconds until a flex video's time and price have come; 0 = it may go. Null when nobody knows: its
 * price depends on utilisation, or never comes.
 */
export function msUntilReady({ schedule, ...moment }: FlexPrices, wait: FlexWait): number | null {
  const { multiplier_bps_max: max, not_before_in_ms: delayMs } = wait
  const untilPriceMs = msUntilWithinMaximum(schedule, max, { ...moment, atMs: moment.atMs + delayMs })
  return untilPriceMs === null ? null : delayMs + untilPriceMs
}

/**
 * What is expected of a video that waits for `readyInMs` more and would be made so, were it ready now: what
 * is queued before it is being made meanwhile. It has no position: it stands in no line.
 */
export function forecastLater(
  end: ExpectedEnd | null,
  { readyInMs, costMs }: { readyInMs: number | null; costMs: number },
): Forecast {
  if (end === null || readyInMs === null) return { position: null, end: null }
  const freeMs = Math.max(end.freeMs, readyInMs + costMs)
  const startMs = Math.max(end.startMs, freeMs - costMs)
  const storedMs = freeMs + end.storedMs - end.freeMs
  const lateMs = Math.max(storedMs, end.lateMs)
  return { position: null, end: { ...end, startMs, freeMs, storedMs, lateMs } }
}
