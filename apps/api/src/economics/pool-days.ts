import type { Database, DatabasePool } from '../db/database.ts'
import { CLOSED_FACTS_SQL, closeHours } from './closed-hours.ts'
import { FACTS, type Fact, type Facts } from './facts.ts'
import { FACTS_SQL } from './facts-sql.ts'

const HOUR_MS = 3_600_000

/** Facts of one pool on one UTC day; not all of the day when the range cuts it. */
export interface PoolDay {
  /** `2026-01-31` */
  day: string
  /** Null: videos that no pool ever took. */
  pool: string | null
  facts: Partial<Facts>
}

interface Row {
  day: string
  pool: string
  fact: Fact
  value: string
}

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

/** What every pool made and cost from `from` until just before `to`, by UTC day. */
export async function readPoolDays(pool: DatabasePool, range: { from: Date; to: Date }): Promise<PoolDay[]> {
  const stretches = stretchesOf(range, await closeHours(pool))
  const parts = await Promise.all(stretches.map((stretch) => readStretch(pool, stretch)))
  return poolDays(parts.flat())
}

async function readStretch(db: Database, { from, to, isClosed }: Stretch): Promise<Row[]> {
  const { rows } = await db.query<Row>({
    text: `select to_char(hour at time zone 'UTC', 'YYYY-MM-DD') as day, pool, fact, sum(value)::text as value
      from (${isClosed ? CLOSED_FACTS_SQL : FACTS_SQL}) f
      group by 1, 2, 3`,
    values: [from, to],
  })
  return rows
}

function poolDays(rows: readonly Row[]): PoolDay[] {
  const byGroup = Map.groupBy(rows, (row) => `${row.day} ${row.pool}`)
  return [...byGroup.values()].map((group) => {
    const facts: Partial<Record<Fact, bigint>> = {}
    for (const { fact, value } of group)
      if (FACTS.includes(fact)) facts[fact] = (facts[fact] ?? 0n) + BigInt(value)
    const { day = '', pool = '' } = group[0] ?? {}
    return { day, pool: pool === '' ? null : pool, facts }
  })
}
