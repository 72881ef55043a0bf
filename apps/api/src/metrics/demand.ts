import {
  type Pace,
  type PaceRow,
  type Paces,
  type PredictableVideo,
  pacesOf,
  predictDeviceMs,
} from '@sluice/gate/pace'
import { fitsPool, type PoolLimits } from '@sluice/gate/pool-fits'
import { modelOfCapability } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import type { Database } from '../db/database.ts'
import { capabilitiesOfPool, type ServedModels } from '../workers/pool-capabilities.ts'

/** What an autoscaler is told of a pool. */
export interface PoolDemand {
  /** Empty: videos that no pool could make that there is or was. */
  pool: string
  /** GPU time that its queued videos will take. */
  queuedGpuSeconds: number
  /** Workers that would make what is queued and running within the time that is wanted. */
  workersWanted: number
}

/** Unfinished videos that take the same time for a step, of one pool or (null) still queued. */
export interface Work extends PredictableVideo {
  pool: string | null
  /** Flex goes to the cheapest pool. */
  is_flex: boolean
  videos: number
  /** Steps that are left of all of them. */
  steps: number
}

/** A pool as its workers are, or as the last one was. */
export interface KnownPool extends PoolLimits {
  pool: string
  device: string
  devicesPerSlot: number
  slotsPerWorker: number
  /** Of a slot, on average over its workers; null when one of them has not declared it. */
  costPerHourMicros: number | null
}

export interface DemandSettings {
  catalogue: Catalogue
  leaseMs: number
  /** How long what waits should take at most. */
  wantedMs: number
  /** Queued videos that are looked at one by one; by default as many as take some 30 ms. */
  sampledMax?: number
}

interface PoolRow {
  pool: string
  device: string
  devices_per_slot: number
  sequence_devices: number
  frames_max: number
  pixels_max: number
  slots: number
  cost_per_hour_micros: number | null
  served: ServedModels[]
}

interface DemandRow {
  pools: PoolRow[]
  paces: PaceRow[]
  work: (Omit<Work, 'video_tokens'> & { video_tokens: number })[]
}

/** Queued videos that are looked at one by one, however many there are. */
const SAMPLED_MAX = 20_000

/**
 * A pool whose workers are all gone is what they were: an autoscaler that took the last one away must learn
 * when to bring it back. Of a key's queued videos as many are read as are its share of $2, and stand for the
 * others: how many it has is known without counting. $1 = the lease in ms.
 */
const DEMAND_SQL = `with
  line as (
    select account_id, key_id, sum(queued) as queued
    from queue_count
    where key_id <> ''
    group by account_id, key_id
    having sum(queued) > 0),
  share as (select greatest(1, $2::int / greatest(1, count(*)))::int as per_key from line)
select
  (select coalesce(json_agg(p), '[]') from (
    select w.pool, min(w.device) as device, max(w.devices_per_slot) as devices_per_slot,
      max(w.sequence_devices) as sequence_devices,
      max(w.frames_max) as frames_max, max(w.pixels_max) as pixels_max,
      -- one that stops says that it has no slots any more
      greatest(max(w.slots), (
        select max(s.slots) from worker_shift s
        where s.pool = w.pool and s.until > now() - interval '30 days'), 1) as slots,
      case when bool_and(w.cost_per_hour_micros is not null)
        then coalesce(
          sum(w.cost_per_hour_micros * w.slots) / nullif(sum(w.slots), 0), avg(w.cost_per_hour_micros))
      end as cost_per_hour_micros,
      json_agg(distinct jsonb_build_object('models', w.models, 'modes', w.modes)) as served
    from (
      select w.*, max(heartbeat_at) over (partition by pool) as newest_at from worker w
      where heartbeat_at > now() - interval '30 days') w
    where w.heartbeat_at >= least(w.newest_at, now() - $1::int * interval '1 millisecond')
    group by w.pool, w.queue
    order by w.pool, w.queue) p) as pools,
  (select coalesce(json_agg(p), '[]') from (
    select pool, capability, width, height, num_frames, step_ms, overhead_ms, upload_ms
    from pace) p) as paces,
  (select coalesce(json_agg(s), '[]') from (
    select null as pool, service_tier = 'flex' as is_flex,
      capability, resolution, width, height, num_frames, video_tokens,
      round(sum(stands_for)) as videos, sum(stands_for * (num_steps - coalesce(checkpoint_step, 0))) as steps
    from (
      select v.*, l.queued::float8 / count(*) over (partition by l.account_id, l.key_id) as stands_for
      from line l
      cross join share
      cross join lateral (
        select * from video q
        where q.status = 'queued' and q.account_id = l.account_id and q.key_id = l.key_id
        limit share.per_key) v) sampled
    -- what waits for its time or its price asks for no worker now
    where waits_for is null
    group by 2, 3, 4, 5, 6, 7, 8
    union all
    select pool, false, capability, resolution, width, height, num_frames, video_tokens,
      count(*), sum(num_steps - step)
    from device_occupant group by 1, 3, 4, 5, 6, 7, 8) s) as work`

/** What each pool has to do, from the rows. */
export async function readDemand(db: Database, settings: DemandSettings): Promise<PoolDemand[]> {
  const { rows } = await db.query<DemandRow>({
    name: 'metrics-demand',
    text: DEMAND_SQL,
    values: [settings.leaseMs, settings.sampledMax ?? SAMPLED_MAX],
  })
  const { pools = [], paces = [], work = [] } = rows[0] ?? {}
  return demandOf(
    pools.map((row) => ({
      pool: row.pool,
      device: row.device,
      devicesPerSlot: row.devices_per_slot,
      slotsPerWorker: row.slots,
      costPerHourMicros: row.cost_per_hour_micros,
      capabilities: capabilitiesOfPool(row.pool, row.served, settings.catalogue),
      sequenceDevices: row.sequence_devices,
      framesMax: row.frames_max,
      pixelsMax: row.pixels_max,
    })),
    work.map((row) => ({ ...row, video_tokens: BigInt(row.video_tokens) })),
    { paces: pacesOf(paces, settings.catalogue), wantedMs: settings.wantedMs },
  )
}

/**
 * What each pool has to do. A queued video that several pools could make counts once: for the one where it
 * takes the least GPU time, or, with flex and where all of them say what they cost, where it costs least.
 * Pure.
 */
export function demandOf(
  pools: readonly KnownPool[],
  work: readonly Work[],
  { paces, wantedMs }: { paces: Paces; wantedMs: number },
): PoolDemand[] {
  const demands = new Map<string, { queuedGpuMs: number; slotMs: number; videos: number }>()
  const slotsOf = new Map<string, number>()
  for (const { pool, slotsPerWorker } of pools) {
    demands.set(pool, NOTHING)
    slotsOf.set(pool, Math.max(slotsOf.get(pool) ?? 0, slotsPerWorker))
  }
  for (const part of work) {
    const maker = makerOf(part, pools, paces)
    const ms = msOf(part, maker, paces)
    const sums = demands.get(maker.pool) ?? NOTHING
    demands.set(maker.pool, {
      queuedGpuMs: sums.queuedGpuMs + (part.pool === null ? ms * maker.devicesPerSlot : 0),
      slotMs: sums.slotMs + ms,
      videos: sums.videos + part.videos,
    })
  }
  return [...demands].map(([pool, { queuedGpuMs, slotMs, videos }]) => {
    const slots = slotsOf.get(pool) ?? 1
    // More workers than there are videos for would gain nothing.
    const inTime = Math.ceil(slotMs / (wantedMs * slots))
    const workersWanted = videos === 0 ? 0 : Math.max(1, Math.min(inTime, Math.ceil(videos / slots)))
    return { pool, queuedGpuSeconds: queuedGpuMs / 1_000, workersWanted }
  })
}

const NOTHING = { queuedGpuMs: 0, slotMs: 0, videos: 0 }

type Maker = Pick<KnownPool, 'pool' | 'device' | 'devicesPerSlot'>

/** Where the work is, or will be, done. */
function makerOf(work: Work, pools: readonly KnownPool[], paces: Paces): Maker {
  if (work.pool !== null) {
    const found = pools.find(({ pool }) => pool === work.pool)
    return found ?? { pool: work.pool, device: '', devicesPerSlot: 1 }
  }
  const fitting = pools.filter((pool) => fitsPool(pool, work))
  const isPriced = work.is_flex && fitting.every(({ costPerHourMicros }) => costPerHourMicros !== null)
  const weightOf = (pool: KnownPool) =>
    msOf(work, pool, paces) * (isPriced ? (pool.costPerHourMicros ?? 0) : pool.devicesPerSlot)
  const [best] = fitting.sort((a, b) => weightOf(a) - weightOf(b))
  if (best !== undefined) return best
  // Its model may have a pool that had no worker yet.
  const pool = paces.catalogue.find(modelOfCapability(work.capability))?.pool ?? ''
  return { pool, device: '', devicesPerSlot: 1 }
}

/** Milliseconds on one slot after another. */
function msOf(work: Work, pool: Maker, paces: Paces): number {
  const pace: Pick<Pace, 'stepMs' | 'overheadMs'> = {
    overheadMs: predictDeviceMs(paces, pool, work, 0),
    stepMs: predictDeviceMs(paces, pool, work, 1) - predictDeviceMs(paces, pool, work, 0),
  }
  return pace.overheadMs * work.videos + pace.stepMs * work.steps
}
