import type { Histogram } from 'prom-client'

/** Often enough that two looks in a row rarely miss what holds the event loop for as long as a bucket. */
const LOOK_EVERY_MS = 10
const MS_PER_SECOND = 1_000

/**
 * Observes how late the event loop runs its timers, from now on; returns what ends it. Counted up, as the
 * runtime's own figures (`nodejs_eventloop_lag_*`) are not: those begin anew with each scrape, whoever
 * scrapes, and hold the time between two looks besides.
 */
export function observeLoopDelay(delays: Pick<Histogram, 'observe'>): () => void {
  let dueMs = performance.now() + LOOK_EVERY_MS
  const timer = setInterval(() => {
    const nowMs = performance.now()
    delays.observe(Math.max(0, nowMs - dueMs) / MS_PER_SECOND)
    dueMs = nowMs + LOOK_EVERY_MS
  }, LOOK_EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}
