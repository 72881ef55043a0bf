import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'
import { FACTS_SQL } from './facts-sql.ts'

/** Longer than any transaction that ends a video is open, and than a lease: what belongs to an hour is in by then. */
const SETTLED_AFTER = '15 minutes'
const DUE_UNTIL = `date_trunc('hour', now() - interval '${SETTLED_AFTER}', 'UTC')`

/**
 * Sums the hours that are over, so that nobody counts them again. Whoever reads figures calls it first; only one closes at a
 * time, and hours are closed once. Answers up to when they are; null before the first.
 */
export async function closeHours(pool: DatabasePool): Promise<Date | null> {
  const before = await readClosed(pool, '')
  if (!before.isDue) return before.until
  return transaction(pool, async (db) => {
    const { until, isDue } = await readClosed(db, 'for update')
    // Another process was faster.
    if (!isDue) return until
    // The due hour is read first: the clock may pass another one while the sums are made.
    const due = one(await db.query<{ due: Date }>({ text: `select ${DUE_UNTIL} as due` })).due
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
  })
}

async function readClosed(
  db: Database,
  lock: '' | 'for update',
): Promise<{ until: Date | null; isDue: boolean }> {
  return one(
    await db.query<{ until: Date | null; isDue: boolean }>({
      text: `select nullif(until, '-infinity') as until, until < ${DUE_UNTIL} as "isDue" from facts_closed ${lock}`,
    }),
  )
}
