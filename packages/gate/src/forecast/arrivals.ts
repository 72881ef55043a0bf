import type { HeadRow } from '../head-row.ts'

/** What was submitted lately, each as it was then. */
export interface RecentArrivals {
  rows: readonly HeadRow[]
  /** In how long that was, up to now. */
  spanMs: number
}

export const NO_ARRIVALS: RecentArrivals = { rows: [], spanMs: 0 }

/** A video that is submitted later, or may be. */
export interface Arrival {
  /** From now on. */
  inMs: number
  row: HeadRow
}

/**
 * One of the futures in which as much is submitted as lately, for as long, from `fromMs` on: at moments that
 * know nothing of each other (a Poisson process), and each of them is like one of those that came. `random`
 * returns a number from 0 to just below 1. Pure.
 */
export function* futureOf(
  recent: RecentArrivals,
  random: () => number,
  fromMs = 0,
): Generator<Arrival, undefined> {
  const { rows, spanMs } = recent
  const gapMs = spanMs / rows.length
  let inMs = fromMs
  for (let number = 0; rows.length > 0; number += 1) {
    inMs -= Math.log(1 - random()) * gapMs
    const like = rows[Math.floor(random() * rows.length)]
    if (!(inMs < fromMs + spanMs) || like === undefined) return
    const expiresInMs = inMs + like.expires_in_ms
    yield { inMs, row: { ...like, id: arrivalId(number), expires_in_ms: expiresInMs } }
  }
}

/** Comes after every id of a video that is there. */
export const LAST_ID = '~'

function arrivalId(number: number): string {
  return `${LAST_ID}${String(number).padStart(9, '0')}`
}
