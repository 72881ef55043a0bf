import { type Database, type DatabasePool, transaction } from '../db/database.ts'
import { inSlices } from '../in-slices.ts'
import { CLOSED_FACTS_SQL, closeHours } from './closed-hours.ts'
import { FACTS, type Fact, type Facts } from './facts.ts'
import { FACTS_SQL } from './facts-sql.ts'

const HOUR_MS = 3_600_000

/**
 * Facts of one pool on one UTC day; not all of the day when the range cuts it. Of sums over all days `day` is
 * empty.
 */
export interface PoolDay {
  /** `2026-01-31` */
  day: string
  /** Null: videos that no pool ever took; or the sum over all pools. */
  pool: string | null
  facts: Partial<Facts>
}

interface Row {
  day: string
  pool: string
  facts: Record<string, string>
}

/** Of a few hundred bytes each. */
const PAGE_ROWS = 200
/** A newer program may have written facts that this one does not know. */
const FACT_OF_NAME: ReadonlyMap<string, Fact> = new Map(FACTS.map((fact) => [fact, fact]))

/** One stretch of time and where its facts are read. */
export interface Stretch {
  from: Date
  to: Date
  isClosed: boolean
}

/** Cuts [from, to) so that whole closed hours are read from their sums and the rest from the rows. Pure. */
export function stretchesOf(range: { from: Date; to: Date }, closedUntil: Date | null): Stretch[] {
  const [from, to] = [range.from.getTime(), range.to.getTime()]
  const firstHour = Math.ceil(from / HOUR_MS) * HOUR_MS
  const lastHour = Math.min(Math.floor(to / HOUR_MS) * HOUR_MS, closedUntil?.getTime() ?? 0)
  const cuts = firstHour < lastHour ? [from, firstHour, lastHour, to] : [from, to]
  return cuts.slice(1).flatMap((end, index) => {
    const start = cuts[index] ?? end
    return start < end
      ? [{ from: new Date(start), to: new Date(end), isClosed: firstHour < lastHour && index === 1 }]
      : []
  })
}

/**
 * What every pool made and cost from `from` until just before `to`, by UTC day and in the order of days and
 * pools; or the sums over all pools, or over all days, where `by` has no name for them.
 */
export async function readPoolDays(
  pool: DatabasePool,
  range: { from: Date; to: Date },
  by: readonly ('day' | 'pool')[] = ['day', 'pool'],
): Promise<PoolDay[]> {
  const stretches = stretchesOf(range, await closeHours(pool))
  const days: FactsOfDays = new Map()
  await transaction(pool, async (db) => {
    for (const stretch of stretches)
      await eachPage(db, stretchStatement(stretch, by), (row) => addRow(days, row))
  })
  const ofDay = ([day, pools]: readonly [string, FactsOfPools]) =>
    [...pools]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, facts]): PoolDay => ({ day, pool: name === '' ? null : name, facts }))
  const sorted = [...days].sort(([a], [b]) => (a < b ? -1 : 1))
  return (await inSlices(sorted, ofDay)).flat()
}

type FactsOfPools = Map<string, Partial<Record<Fact, bigint>>>
type FactsOfDays = Map<string, FactsOfPools>

function stretchStatement(
  { from, to, isClosed }: Stretch,
  by: readonly ('day' | 'pool')[],
): { text: string; values: unknown[] } {
  const day = by.includes('day') ? `to_char(hour at time zone 'UTC', 'YYYY-MM-DD')` : `''`
  const text = `
    select day, pool, json_object_agg(fact, value::text) as facts
    from (
      select ${day} as day, ${by.includes('pool') ? 'pool' : `''`} as pool, fact, sum(value) as value
      from (${isClosed ? CLOSED_FACTS_SQL : FACTS_SQL}) f
      group by 1, 2, 3) sums
    group by 1, 2`
  return { text, values: [from, to] }
}

/** Reads the rows by pages, so that no answer holds the event loop while it is taken apart. */
async function eachPage(
  db: Database,
  { text, values }: { text: string; values: unknown[] },
  take: (row: Row) => void,
): Promise<void> {
  await db.query({ text: `declare pool_days no scroll cursor for ${text}`, values })
  for (let rows: Row[] = []; ; ) {
    rows = (await db.query<Row>({ text: `fetch ${PAGE_ROWS} from pool_days` })).rows
    await inSlices(rows, take)
    if (rows.length < PAGE_ROWS) break
  }
  await db.query({ text: 'close pool_days' })
}

function addRow(days: FactsOfDays, { day, pool, facts }: Row): void {
  const pools: FactsOfPools = days.get(day) ?? new Map()
  const sums = pools.get(pool) ?? {}
  for (const [name, value] of Object.entries(facts)) {
    const fact = FACT_OF_NAME.get(name)
    if (fact !== undefined) sums[fact] = (sums[fact] ?? 0n) + BigInt(value)
  }
  days.set(day, pools.set(pool, sums))
}
