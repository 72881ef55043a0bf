import { LEASE_MS } from '@sluice/shared/attempt-contract'

/** How often the API's loops run, and how long they wait, in milliseconds. */
export interface Timings {
  /** An attempt or worker that no heartbeat has named for this long is lost. */
  leaseMs: number
  reconcileEveryMs: number
  /** A cancelled video whose worker has not answered for this long ends without it. */
  cancelAnswerMs: number
  /** How often videos that somebody follows are read again. */
  watchEveryMs: number
  /** How often what has ended is added to the facts of the open hours. */
  countEveryMs: number
  /** How often credit is looked for whose date has passed. */
  expireEveryMs: number
  /** How often prices are compared with what pools cost, though nobody asks. */
  priceLookEveryMs: number
  /** How often what accounts owe of payments is taken, as far as money is there again. */
  collectEveryMs: number
  /** How often an event stream without events sends a comment, so that proxies do not close it. */
  keepAliveEveryMs: number
}

export const DEFAULT_TIMINGS: Timings = {
  leaseMs: LEASE_MS,
  reconcileEveryMs: 1_000,
  cancelAnswerMs: 30_000,
  watchEveryMs: 500,
  countEveryMs: 1_000,
  expireEveryMs: 1_000,
  priceLookEveryMs: 60_000,
  collectEveryMs: 60_000,
  keepAliveEveryMs: 15_000,
}
