import type { Database } from '../db/database.ts'
import { CLOSED_FACTS_SQL } from './closed-hours.ts'
import { FACTS_SQL } from './facts-sql.ts'
import { OPEN_FACTS_SQL, readCounting } from './open-facts.ts'

const HOUR_MS = 3_600_000

/** One stretch of time and where its facts are read: in closed hours, in open ones, or in the rows. */
export interface Stretch {
  from: Date
  /** Null: without an end. */
  to: Date | null
  source: 'closed' | 'open' | 'rows'
}

/**
 * Cuts [from, to) so that whole hours are read from their sums and the rest from the rows: what cuts an hour,
 * and hours before `countedFrom` that nobody has closed yet. Pure.
 */
export function stretchesOf(
  range: { from: Date; to: Date | null },
  closedUntil: Date | null,
  countedFrom: Date,
): Stretch[] {
  const [from, to] = [range.from.getTime(), range.to?.getTime() ?? Number.POSITIVE_INFINITY]
  const first = Math.ceil(from / HOUR_MS) * HOUR_MS
  const last = Math.floor(to / HOUR_MS) * HOUR_MS
  const within = (at: number) => Math.min(Math.max(at, first), last)
  const closed = within(closedUntil?.getTime() ?? 0)
  const counted = Math.max(closed, within(countedFrom.getTime()))
  const cuts: [Stretch['source'], number, number][] =
    first < last
      ? [
          ['rows', from, first],
          ['closed', first, closed],
          ['rows', closed, counted],
          ['open', counted, last],
          ['rows', last, to],
        ]
      : [['rows', from, to]]
  return cuts.flatMap(([source, start, end]) =>
    start < end
      ? [{ source, from: new Date(start), to: end === Number.POSITIVE_INFINITY ? null : new Date(end) }]
      : [],
  )
}

const FACTS_OF: Record<Stretch['source'], string> = {
  closed: CLOSED_FACTS_SQL,
  open: OPEN_FACTS_SQL,
  rows: FACTS_SQL,
}

/** Selects the facts of a stretch: hour, pool, fact, value. */
export interface FactsOfStretch {
  text: string
  values: unknown[]
}

/**
 * Where the facts of a range are (null: without that end), when hours are closed until then. Call it in the
 * snapshot in which they are read.
 */
export async function readStretches(
  db: Database,
  range: { from: Date | null; to: Date | null },
  closedUntil: Date | null,
): Promise<FactsOfStretch[]> {
  const { countedFrom, clockUntil } = await readCounting(db)
  return stretchesOf({ ...range, from: range.from ?? new Date(0) }, closedUntil, countedFrom).map(
    ({ source, from, to }) => ({
      text: FACTS_OF[source],
      values: [from, to ?? 'infinity', ...(source === 'open' ? [clockUntil] : [])],
    }),
  )
}
