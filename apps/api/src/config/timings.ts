import { LEASE_MS } from '@sluice/shared/attempt-contract'

/** How often the API looks, and how long it waits. */
export interface Timings {
  /** An attempt or worker that no heartbeat has named for so long is lost. */
  leaseMs: number
  reconcileEveryMs: number
  /** A cancel that the worker has not answered for so long is settled without it. */
  cancelAnswerMs: number
  /** How often followed videos are read again. */
  watchEveryMs: number
  /** How often an event stream without events sends a comment, so that proxies keep it open. */
  keepAliveEveryMs: number
}

export const DEFAULT_TIMINGS: Timings = {
  leaseMs: LEASE_MS,
  reconcileEveryMs: 1_000,
  cancelAnswerMs: 30_000,
  watchEveryMs: 500,
  keepAliveEveryMs: 15_000,
}
