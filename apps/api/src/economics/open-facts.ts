import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'
import { clockFactsSql, videoFactsSql } from './facts-sql.ts'

/** Videos counted at a time: some tens of milliseconds. */
const BATCH = 2_000
/**
 * GPU time is counted until so long ago: by then a lost worker's lease is over, and the end of every attempt
 * is written.
 */
const CLOCK_LAG = '60 seconds'
const CLOCK_EVERY = '10 seconds'

const ADD_SQL = `
  insert into fact_open as o (hour, pool, fact, value)
  select hour, pool, fact, sum(value) from facts
  where value > 0 and hour >= (select counted_from from facts_closed)
  group by 1, 2, 3
  order by 1, 2, 3
  on conflict (hour, pool, fact) do update set value = o.value + excluded.value`

const COUNT_VIDEOS_SQL = `
  with taken as (
    delete from uncounted_video
    where ctid = any (array(select ctid from uncounted_video limit $1))
    returning video_id
  ),
  facts(hour, pool, fact, value) as (
    ${videoFactsSql('v.id in (select video_id from taken)')}
  ),
  added as (${ADD_SQL} returning 1),
  -- how the videos of the sample came out, from the moment of their forecast
  outcome as (
    insert into eta_outcome (pool, service_tier, start_ms, free_ms, stored_ms, late_ms, measured,
      p50_ms, p90_ms, started_ms, freed_ms, took_ms)
    select g.pool, v.service_tier, g.start_ms, g.free_ms, g.stored_ms, g.late_ms, g.measured,
      g.p50_ms, g.p90_ms,
      extract(epoch from a.started_at - g.given_at) * 1000,
      extract(epoch from a.released_at - g.given_at) * 1000,
      extract(epoch from v.ended_at - g.given_at) * 1000
    from taken
    join video v on v.id = taken.video_id
    join eta_given g on g.video_id = v.id
    join attempt a on a.video_id = v.id and a.fence = v.fence
    where v.status = 'completed' and g.stored_ms is not null
      and a.started_at is not null and a.released_at is not null
    returning 1)
  select (select count(*) from taken)::int as count, (select count(*) from added) as added,
    (select count(*) from outcome)::int as outcomes`

/** Outcomes kept of each pool: enough to know a tenth of them well, and soon past what has changed. */
const OUTCOMES_KEPT = 300

const DROP_OUTCOMES_SQL = `
  delete from eta_outcome o
  using (
    select p.pool,
      (select id from eta_outcome i where i.pool = p.pool order by id desc offset $1 limit 1) as last
    from (select distinct pool from eta_outcome) p) past
  where o.pool = past.pool and o.id <= past.last`

const COUNT_CLOCK_SQL = `
  with facts(hour, pool, fact, value) as (
    ${clockFactsSql('$1', '$2')}
  )${ADD_SQL}`

/**
 * Adds what has ended since, and the GPU time until a minute ago, to the facts of the open hours. A video
 * that ended is noted in the transaction that ends it, and is counted by the one that removes the note, so
 * each counts once however late its end is committed. Returns whether there may be more; false while another
 * process is at it.
 */
export function countEnded(pool: DatabasePool): Promise<boolean> {
  return transaction(pool, async (db) => {
    const { rows } = await db.query({ text: 'select from facts_closed for no key update skip locked' })
    if (rows.length === 0) return false
    await countClock(db)
    return countVideos(db)
  })
}

/** Counts a batch of videos. Returns whether there may be more. Lock facts_closed before. */
async function countVideos(db: Database): Promise<boolean> {
  const { count, outcomes } = one(
    await db.query<{ count: number; outcomes: number }>({
      name: 'count-ended',
      text: COUNT_VIDEOS_SQL,
      values: [BATCH],
    }),
  )
  if (outcomes > 0)
    await db.query({ name: 'drop-outcomes', text: DROP_OUTCOMES_SQL, values: [OUTCOMES_KEPT] })
  return count === BATCH
}

/** Counts GPU time until a minute ago. Lock facts_closed before. */
async function countClock(db: Database): Promise<void> {
  const { from, to, isDue } = one(
    await db.query<{ from: string; to: string; isDue: boolean }>({
      text: `select clock_until::text as from, (now() - interval '${CLOCK_LAG}')::text as to,
        clock_until < now() - interval '${CLOCK_LAG}' - interval '${CLOCK_EVERY}' as "isDue"
      from facts_closed`,
    }),
  )
  if (!isDue) return
  await db.query({ text: COUNT_CLOCK_SQL, values: [from, to] })
  await db.query({ text: 'update facts_closed set clock_until = $1', values: [to] })
}

export const OPEN_FACTS_SQL = `
  select hour, pool, fact, round(sum(value)) as value
  from (
    select hour, pool, fact, value from fact_open
    union all
    (${videoFactsSql('v.id in (select video_id from uncounted_video)')})
    union all
    (${clockFactsSql('$3::timestamptz', `'infinity'`)})
  ) f(hour, pool, fact, value)
  where hour >= $1 and hour < $2 and value > 0
  group by 1, 2, 3
  having round(sum(value)) > 0`

/** From which hour on facts are counted as videos end, and until when GPU time has been. */
export interface Counting {
  countedFrom: Date
  clockUntil: Date
}

export async function readCounting(db: Database): Promise<Counting> {
  return one(
    await db.query<Counting>({
      text: 'select counted_from as "countedFrom", clock_until as "clockUntil" from facts_closed',
    }),
  )
}

/** Counts all that has ended, and all GPU time until a minute ago, in the caller's transaction. */
export async function countAll(db: Database): Promise<void> {
  await countClock(db)
  while (await countVideos(db));
}

/** For statements that read the sums of many hours. */
export const SUM_LIMITS = { limitMs: TIME_LIMITS.database.sumMs } as const
