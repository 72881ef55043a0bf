import { FACTS, type Fact, type Facts } from '@sluice/shared/economics/facts'
import { type Database, type DatabasePool, transaction } from '../db/database.ts'
import { inSlices } from '../in-slices.ts'
import { closeHours } from './closed-hours.ts'
import { SUM_LIMITS } from './open-facts.ts'
import { type FactsOfStretch, readStretches } from './stretches.ts'

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

/**
 * What every pool made and cost from `from` until just before `to` (null: until now), by UTC day and in the
 * order of days and pools, videos that no pool took last; or the sums over all pools, or over all days, where
 * `by` has no name for them.
 */
export async function readPoolDays(
  pool: DatabasePool,
  range: { from: Date; to: Date | null },
  by: readonly ('day' | 'pool')[] = ['day', 'pool'],
): Promise<PoolDay[]> {
  const days: PoolDay[] = []
  await eachPoolDay(pool, { range, by }, (day) => days.push(day))
  return days
}

/**
 * As `readPoolDays`, each as it is read, so that none has to be kept. `take` is called within the snapshot:
 * it computes and waits for nothing.
 */
export async function eachPoolDay(
  pool: DatabasePool,
  { range, by }: { range: { from: Date; to: Date | null }; by: readonly ('day' | 'pool')[] },
  take: (day: PoolDay) => void,
): Promise<void> {
  const closedUntil = await closeHours(pool)
  // One snapshot, so that what is counted meanwhile is there once.
  const read = async (db: Database) => {
    const stretches = await readStretches(db, range, closedUntil)
    if (stretches.length > 0) await eachPage(db, statementOf(stretches, by), (row) => take(poolDayOf(row)))
  }
  await transaction(pool, read, { isolation: 'repeatable read', ...SUM_LIMITS })
}

/** A day may be cut into several stretches, and is one row. */
function statementOf(
  stretches: readonly FactsOfStretch[],
  by: readonly ('day' | 'pool')[],
): { text: string; values: unknown[] } {
  const values: unknown[] = []
  const parts = stretches.map((stretch) => {
    const before = values.length
    values.push(...stretch.values)
    const text = stretch.text.replaceAll(/\$(\d+)/g, (_, number) => `$${before + Number(number)}`)
    return `select hour, pool, fact, value from (${text}) s`
  })
  const day = by.includes('day') ? `to_char(hour at time zone 'UTC', 'YYYY-MM-DD')` : `''`
  const text = `
    select day, pool, json_object_agg(fact, value::text) as facts
    from (
      select ${day} as day, ${by.includes('pool') ? 'pool' : `''`} as pool, fact, sum(value) as value
      from (${parts.join(' union all ')}) f
      group by 1, 2, 3) sums
    group by 1, 2
    order by day, pool = '', pool collate "C"`
  return { text, values }
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

function poolDayOf({ day, pool, facts }: Row): PoolDay {
  const sums: Partial<Record<Fact, bigint>> = {}
  for (const [name, value] of Object.entries(facts)) {
    const fact = FACT_OF_NAME.get(name)
    if (fact !== undefined) sums[fact] = BigInt(value)
  }
  return { day, pool: pool === '' ? null : pool, facts: sums }
}
