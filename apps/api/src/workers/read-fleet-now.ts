import type { Database } from '../db/database.ts'

/** A pool as it is now. */
export interface PoolNow {
  pool: string
  workers: number
  slots: number
  /** Slots whose device is at work. */
  busySlots: number
  gpus: number
  busyGpus: number
  /** Micro-units an hour of all its slots; null when one of its workers has not declared it. */
  costPerHourMicros: bigint | null
}

/** The pools of workers heard of within the lease, draining ones included, and what they are at. */
export async function readFleetNow(db: Database, leaseMs: number): Promise<PoolNow[]> {
  const { rows } = await db.query<Omit<PoolNow, 'costPerHourMicros'> & { cost: string | null }>({
    name: 'fleet-now',
    text: `with busy as (
        select a.pool, count(*)::int as slots, sum(coalesce(a.devices, 1))::int as gpus
        from attempt a
        where a.ended_at is null and a.started_at is not null and a.released_at is null
        group by 1)
      select w.pool, count(*)::int as workers,
        sum(w.slots)::int as slots, coalesce(max(b.slots), 0)::int as "busySlots",
        sum(w.slots * w.devices_per_slot)::int as gpus, coalesce(max(b.gpus), 0)::int as "busyGpus",
        case when bool_and(w.cost_per_hour_micros is not null or w.slots = 0)
          then coalesce(sum(w.cost_per_hour_micros * w.slots), 0)::text
        end as cost
      from worker w
      left join busy b on b.pool = w.pool
      where w.heartbeat_at > now() - $1::int * interval '1 millisecond'
      group by w.pool
      order by w.pool`,
    values: [leaseMs],
  })
  return rows.map(({ cost, ...pool }) => ({
    ...pool,
    costPerHourMicros: cost === null ? null : BigInt(cost),
  }))
}
