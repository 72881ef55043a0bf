import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'
import { FACTS_SQL } from './facts-sql.ts'
import { countAll, SUM_LIMITS } from './open-facts.ts'

/** The facts of the closed hours from $1 until just before $2, as FACTS_SQL has those of any. */
export const CLOSED_FACTS_SQL = 'select * from fact_hour where hour >= $1 and hour < $2'

/**
 * Longer than any transaction that ends a video stays open, and than a lease: by then nothing is added to an
 * hour.
 */
const CLOSED_AFTER = '15 minutes'
const DUE_UNTIL_SQL = `date_trunc('hour', now() - interval '${CLOSED_AFTER}', 'UTC')`
/** Videos whose rows are summed in one statement: seconds. */
const ROWS_MAX = 300_000
/** Whoever read how far hours are closed a moment ago still finds the facts of the open ones. */
const OPEN_KEPT = '1 day'

/**
 * Closes the hours that are over, so that nobody sums them again: those from `counted_from` on are copied
 * from the open facts, older ones are summed from their rows. To be called before figures are read. Only one
 * process closes at a time, and each hour is closed once. Returns the end of the last closed hour; null
 * before the first.
 */
export async function closeHours(pool: DatabasePool): Promise<Date | null> {
  for (;;) {
    const { until, isDue } = await readClosed(pool)
    if (!isDue) return until
    await transaction(pool, closeSome, SUM_LIMITS)
  }
}

/** Closes the open hours that are due, or hours of as many rows as can be summed at a time. */
async function closeSome(db: Database): Promise<void> {
  const { until, countedFrom, isDue } = await lockClosed(db)
  // Another process was faster.
  if (!isDue) return
  // Read first: the clock may pass another hour while the sums are made.
  const { due } = one(await db.query<{ due: Date }>({ text: `select ${DUE_UNTIL_SQL} as due` }))
  const counted = countedFrom < due ? countedFrom : due
  const isInRows = until === null || until < counted
  const end = isInRows ? await endOfSome(db, until, counted) : due
  if (isInRows) await sumRows(db, until, end)
  else await copyOpen(db, until, end)
  await db.query({ text: 'update facts_closed set until = $1', values: [end] })
  await db.query({
    text: 'delete from eta_given g using video v where v.id = g.video_id and v.ended_at < $1',
    values: [end],
  })
}

/** The end of the hours after `from` in which about ROWS_MAX videos ended; not later than `last`. */
async function endOfSome(db: Database, from: Date | null, last: Date): Promise<Date> {
  const { end } = one(
    await db.query<{ end: Date }>({
      text: `select case
        when count(*) < $3 then $2
        else least($2, date_trunc('hour', max(ended_at), 'UTC') + interval '1 hour')
      end as end
      from (
        select ended_at from video
        where ended_at >= $1 and ended_at < $2::timestamptz
        order by ended_at
        limit $3
      ) v`,
      values: [from ?? '-infinity', last, ROWS_MAX],
    }),
  )
  return end
}

function sumRows(db: Database, from: Date | null, to: Date): Promise<unknown> {
  return db.query({
    text: `insert into fact_hour (hour, pool, fact, value) ${FACTS_SQL}`,
    values: [from ?? '-infinity', to],
  })
}

async function copyOpen(db: Database, from: Date, to: Date): Promise<void> {
  await countAll(db)
  await db.query({
    text: `insert into fact_hour (hour, pool, fact, value)
    select hour, pool, fact, round(value) from fact_open
    where hour >= $1 and hour < $2 and round(value) > 0`,
    values: [from, to],
  })
  await db.query({
    text: `delete from fact_open where hour < $1::timestamptz - interval '${OPEN_KEPT}'`,
    values: [to],
  })
}

/** Until when hours are closed (null before the first), and whether another one is due. */
interface Closed {
  until: Date | null
  countedFrom: Date
  isDue: boolean
}

const CLOSED_SQL = `select nullif(until, '-infinity') as until, counted_from as "countedFrom",
  until < ${DUE_UNTIL_SQL} as "isDue"
  from facts_closed`

async function readClosed(db: Database): Promise<Closed> {
  return one(await db.query<Closed>({ text: CLOSED_SQL }))
}

async function lockClosed(db: Database): Promise<Closed> {
  return one(await db.query<Closed>({ text: `${CLOSED_SQL} for update` }))
}
