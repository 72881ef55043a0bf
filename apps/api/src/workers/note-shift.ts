import type { Heartbeat } from '@sluice/shared/attempt-contract'
import type { Database } from '../db/database.ts'

/**
 * Records the time a worker was there. While its process and what it serves stay the same, one row's `until`
 * is raised. A change ends that row and begins the next. After a silence longer than the lease, or in a new
 * process, the time between counts as absence. The worker's row must be locked, so that the shifts of a
 * worker never overlap.
 */
export async function noteShift(db: Database, beat: Heartbeat, leaseMs: number): Promise<void> {
  await db.query({
    name: 'worker-shift',
    // A heartbeat that waited for the lock may have begun before the one that went ahead: time never goes
    // back.
    text: `with before as (
        select id, until, greatest(until, now()) as now
        from worker_shift where worker_id = $1 order by id desc limit 1),
      last as (
        update worker_shift s set until = b.now from before b
        where s.id = b.id and s.boot = $2 and b.until > now() - $7::int * interval '1 millisecond'
        returning s.pool, s.slots, s.devices_per_slot, s.cost_per_hour_micros)
      insert into worker_shift
        (worker_id, boot, pool, slots, devices_per_slot, cost_per_hour_micros, began_at, until)
      select $1, $2, $3, $4, $5, $6, t.now, t.now
      from (select coalesce((select b.now from before b), now()) as now) t
      where not exists (
        select from last
        where pool = $3 and slots = $4 and devices_per_slot = $5
          and cost_per_hour_micros is not distinct from $6)`,
    values: [
      beat.worker,
      beat.boot,
      beat.pool,
      beat.slots,
      beat.devices_per_slot,
      beat.cost_per_hour_micros,
      leaseMs,
    ],
  })
}

/** Deletes shifts that were over longer ago than `days`, in hours that are closed. */
export async function pruneShifts(db: Database, days: number): Promise<void> {
  await db.query({
    name: 'shift-prune',
    text: `
      delete from worker_shift
      where until < (select least(now() - make_interval(days => $1), until) from facts_closed)`,
    values: [days],
  })
}
