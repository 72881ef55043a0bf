/**
 * How long to wait before a dead process is started again: doubled at each death, until one lived long
 * enough.
 */
export interface BackoffSettings {
  firstMs: number
  maxMs: number
  /** A process that lived this long was healthy: the next wait is the first again. */
  resetAfterMs: number
}

export const BACKOFF: BackoffSettings = { firstMs: 200, maxMs: 10_000, resetAfterMs: 30_000 }

/** Returns a function from the life of a process to the wait before its next start, both in milliseconds. */
export function createBackoff(settings: BackoffSettings = BACKOFF): (livedMs: number) => number {
  let nextMs = settings.firstMs
  return (livedMs) => {
    if (livedMs >= settings.resetAfterMs) nextMs = settings.firstMs
    const waitMs = nextMs
    nextMs = Math.min(nextMs * 2, settings.maxMs)
    return waitMs
  }
}
