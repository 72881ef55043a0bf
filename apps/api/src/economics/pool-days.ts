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
 * order of days and pools; or the sums over all pools, or over all days, where `by` has no name for them.
 */
export async function readPoolDays(
  pool: DatabasePool,
  range: { from: Date; to: Date | null },
  by: readonly ('day' | 'pool')[] = ['day', 'pool'],
): Promise<PoolDay[]> {
  const closedUntil = await closeHours(pool)
  const days: FactsOfDays = new Map()
  // One snapshot, so that what is counted meanwhile is there once.
  const read = async (db: Database) => {
    for (const facts of await readStretches(db, range, closedUntil))
      await eachPage(db, stretchStatement(facts, by), (row) => addRow(days, row))
  }
  await transaction(pool, read, { isolation: 'repeatable read', ...SUM_LIMITS })
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
  facts: FactsOfStretch,
  by: readonly ('day' | 'pool')[],
): { text: string; values: unknown[] } {
  const day = by.includes('day') ? `to_char(hour at time zone 'UTC', 'YYYY-MM-DD')` : `''`
  const text = `
    select day, pool, json_object_agg(fact, value::text) as facts
    from (
      select ${day} as day, ${by.includes('pool') ? 'pool' : `''`} as pool, fact, sum(value) as value
      from (${facts.text}) f
      group by 1, 2, 3) sums
    group by 1, 2`
  return { text, values: facts.values }
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
