import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'
import { FACTS_SQL } from './facts-sql.ts'

/** The facts of the closed hours from $1 until just before $2, as FACTS_SQL has those of any. */
export const CLOSED_FACTS_SQL = 'select * from fact_hour where hour >= $1 and hour < $2'

/**
 * Longer than any transaction that ends a video stays open, and than a lease: by then nothing is added to an
 * hour.
 */
const CLOSED_AFTER = '15 minutes'
const DUE_UNTIL_SQL = `date_trunc('hour', now() - interval '${CLOSED_AFTER}', 'UTC')`

/**
 * Sums the hours that are over, so that nobody sums them again. To be called before figures are read. Only
 * one process closes at a time, and each hour is closed once. Returns the end of the last closed hour; null
 * before the first.
 */
export async function closeHours(pool: DatabasePool): Promise<Date | null> {
  const before = await readClosed(pool)
  if (!before.isDue) return before.until
  const close = async (db: Database) => {
    const { until, isDue } = await lockClosed(db)
    // Another process was faster.
    if (!isDue) return until
    // Read first: the clock may pass another hour while the sums are made.
    const { due } = one(await db.query<{ due: Date }>({ text: `select ${DUE_UNTIL_SQL} as due` }))
    await db.query({
      text: `insert into fact_hour (hour, pool, fact, value) ${FACTS_SQL}`,
      values: [until ?? '-infinity', due],
    })
    await db.query({ text: 'update facts_closed set until = $1', values: [due] })
    await db.query({
      text: 'delete from eta_given g using video v where v.id = g.video_id and v.ended_at < $1',
      values: [due],
    })
    return due
  }
  return transaction(pool, close, { limitMs: TIME_LIMITS.database.sumMs })
}

/** Until when hours are closed (null before the first), and whether another one is due. */
interface Closed {
  until: Date | null
  isDue: boolean
}

const CLOSED_SQL = `select nullif(until, '-infinity') as until, until < ${DUE_UNTIL_SQL} as "isDue"
  from facts_closed`

async function readClosed(db: Database): Promise<Closed> {
  return one(await db.query<Closed>({ text: CLOSED_SQL }))
}

async function lockClosed(db: Database): Promise<Closed> {
  return one(await db.query<Closed>({ text: `${CLOSED_SQL} for update` }))
}
