import type { Database } from '../db/database.ts'

/**
 * The first untaken dispatch may have been lost on its way, so the queue is tried again as soon as those that
 * were put there together are all noted.
 */
const PAUSE_FIRST_SECONDS = 1
/** After the second one in a row; twice as long after each further one. */
const PAUSE_SECOND_SECONDS = 5
/** One video in a minute finds out whether a queue that was left untaken for long is read again. */
const PAUSE_SECONDS_MAX = 60

/** A queue from which workers of a pool did not take what was put there last. */
export interface UntakenQueue {
  queue: string
  pool: string
  inARow: number
}

/**
 * Notes that nobody took a dispatch. Several that were put there together count as one, since they say the
 * same.
 */
export async function noteUntaken(db: Database, queue: string, pool: string): Promise<void> {
  await db.query({
    name: 'queue-untaken',
    text: `
      insert into queue_delivery as d (queue, pool, untaken_in_a_row, untaken_total, paused_until)
      values ($1, $2, 1, 1, now() + make_interval(secs => $3))
      on conflict (queue) do update set
        untaken_total = d.untaken_total + 1,
        untaken_in_a_row = d.untaken_in_a_row + case when d.paused_until > now() then 0 else 1 end,
        paused_until = case
          when d.paused_until > now() then d.paused_until
          when d.untaken_in_a_row = 0 then now() + make_interval(secs => $3)
          else now()
            + make_interval(secs => least($5, $4 * power(2, least(d.untaken_in_a_row, 10) - 1)))
        end`,
    values: [queue, pool, PAUSE_FIRST_SECONDS, PAUSE_SECOND_SECONDS, PAUSE_SECONDS_MAX],
  })
}

/** A worker that reads the queue has said anew that it takes videos: it is believed. */
export async function resumeQueue(db: Database, queue: string): Promise<void> {
  await db.query({
    name: 'queue-resume',
    text: `
      update queue_delivery set untaken_in_a_row = 0, paused_until = null
      where queue = $1 and untaken_in_a_row > 0`,
    values: [queue],
  })
}

/** The queues of living workers whose last dispatch nobody took. */
export async function readUntakenQueues(db: Database, leaseMs: number): Promise<UntakenQueue[]> {
  const { rows } = await db.query<UntakenQueue>({
    name: 'queues-untaken',
    text: `
      select d.queue, d.pool, d.untaken_in_a_row as "inARow" from queue_delivery d
      where d.untaken_in_a_row > 0 and exists (select from living_worker($1) w where w.queue = d.queue)
      order by d.queue`,
    values: [leaseMs],
  })
  return rows
}

/** Dispatches to a pool that nobody took. */
export interface UntakenOfPool {
  pool: string
  /** Since the beginning. */
  total: number
  /** In a row by now, on the queue of the pool that has most. */
  inARow: number
}

/** The pools to which a dispatch was left untaken at any time. */
export async function readUntakenOfPools(db: Database): Promise<UntakenOfPool[]> {
  const { rows } = await db.query<UntakenOfPool>({
    name: 'pools-untaken',
    text: `
      select pool, sum(untaken_total)::float8 as total, max(untaken_in_a_row) as "inARow"
      from queue_delivery
      group by pool`,
  })
  return rows
}
