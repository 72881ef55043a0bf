import type { Fleet, InFlight, Pool } from '@sluice/gate/fleet'
import { type DeclaredSlots, slotStates, switchWaitMsMax } from '@sluice/gate/loaded-slots'
import {
  type PaceRow,
  type Paces,
  type PredictableVideo,
  pacesOf,
  predictDeviceMs,
  predictUploadMs,
} from '@sluice/gate/pace'
import { RunningCounts } from '@sluice/gate/running-counts'
import { VirtualTime } from '@sluice/gate/virtual-time'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { type Database, one } from '../db/database.ts'
import { FLEX_MARKET_SQL, type FlexMarket, type FlexMarketRow, flexMarketOf } from '../prices/flex-market.ts'
import { capabilitiesOfPool, type ServedModels } from '../workers/pool-capabilities.ts'

interface PoolRow {
  pool: string
  queue: string
  untaken: number
  paused: boolean
  device: string
  slots: number
  sequence_devices: number
  served: ServedModels[]
  frames_max: number
  pixels_max: number
  cost_per_hour_micros: number | null
  workers: DeclaredSlots[]
}

interface InFlightRow extends Omit<PredictableVideo, 'video_tokens'> {
  video_id: string
  account_id: string
  key_id: string
  service_tier: ServiceTier
  pool: string
  status: string
  num_steps: number
  step: number
  video_tokens: number
  queue: string
  taken: boolean
  dispatched_ms: number
  yielding: boolean
  fence: number
  ran_ms: number
  expires_in_ms: number
  free_in_ms: number | null
  model: string
  worker_id: string | null
  slot: number | null
}

interface FleetRow {
  pools: PoolRow[]
  in_flight: InFlightRow[]
  clocks: { service_tier: ServiceTier; virtual_ms: number }[]
  tags: { service_tier: ServiceTier; account_id: string; finish_ms: number }[]
  paces: PaceRow[]
  switches: { pool: string; switch_ms: number }[]
  flex_queued: number
  flex: FlexMarketRow
}

/** The fleet with what is read beside it. */
export interface ReadFleet extends Fleet {
  flex: FlexMarket
}

/** One statement for all of it: one snapshot, one round trip. $1 = the lease in ms. */
const FLEET_SQL = `select
  -- the queues of living workers; from a queue only what each of its readers can make is taken
  (select coalesce(json_agg(p), '[]') from (
    select w.pool, w.queue, min(device) as device, sum(slots) as slots,
      max(sequence_devices) as sequence_devices, min(frames_max) as frames_max, min(pixels_max) as pixels_max,
      json_agg(distinct jsonb_build_object('models', models, 'modes', modes)) as served,
      case when bool_and(cost_per_hour_micros is not null)
        then round(sum(cost_per_hour_micros * slots) / sum(slots))
      end as cost_per_hour_micros,
      json_agg(json_build_object('worker', w.id, 'slots', w.slots, 'loaded', w.loaded)
        order by w.id) as workers,
      coalesce(max(d.untaken_in_a_row), 0) as untaken,
      coalesce(bool_or(d.paused_until > now()), false) as paused
    from living_worker($1) w
    left join queue_delivery d on d.queue = w.queue
    group by w.pool, w.queue order by w.pool, w.queue) p) as pools,
  -- what occupies their devices
  (select coalesce(json_agg(f), '[]') from (
    select video_id, account_id, key_id, service_tier, pool, queue, status,
      yield_requested_at is not null as yielding, fence, taken_at is not null as taken,
      extract(epoch from now() - dispatched_at)::float8 * 1000 as dispatched_ms,
      coalesce(extract(epoch from now() - started_at), 0)::float8 * 1000 as ran_ms,
      capability, resolution, width, height, num_frames, num_steps, video_tokens, step,
      extract(epoch from execution_expires_at - now())::float8 * 1000 as expires_in_ms,
      extract(epoch from free_at - now())::float8 * 1000 as free_in_ms,
      model, worker_id, slot
    from device_occupant) f) as in_flight,
  -- virtual time: a tag that is not ahead of its clock counts for nothing
  (select json_agg(c) from (select service_tier, virtual_ms from gate_clock) c) as clocks,
  (select coalesce(json_agg(t), '[]') from (
    select t.service_tier, t.account_id, t.finish_ms
    from gate_clock c
    join gate_tag t on t.service_tier = c.service_tier and t.finish_ms > c.virtual_ms) t) as tags,
  (select coalesce(json_agg(p), '[]') from (
    select pool, capability, width, height, num_frames, step_ms, overhead_ms, upload_ms
    from pace) p) as paces,
  (select coalesce(json_agg(s), '[]') from (select pool, switch_ms from switch_pace) s) as switches,
  (select coalesce(sum(queued), 0) from queue_count
    where key_id = '' and service_tier = 'flex') as flex_queued,
  ${FLEX_MARKET_SQL} as flex`

export interface FleetSettings {
  catalogue: Catalogue
  leaseMs: number
  /** What a switch of models is taken to cost where none was measured. */
  switchMs: number
  /** The longest that a video is passed over because of what is loaded; 0 = never. */
  switchWaitMsMax: number
  /** What flex costs where the operator has set no schedule. */
  flexMultiplierBps: number
}

/** Reads the pools of living workers, what occupies their devices, and the virtual time. */
export async function readFleet(db: Database, settings: FleetSettings): Promise<ReadFleet> {
  const row = one(
    await db.query<FleetRow>({ name: 'gate-fleet', text: FLEET_SQL, values: [settings.leaseMs] }),
  )
  const time = new VirtualTime()
  for (const clock of row.clocks) time.raiseClock(clock.service_tier, clock.virtual_ms)
  for (const tag of row.tags) time.raiseFinish(tag.service_tier, tag.account_id, tag.finish_ms)
  const paces = pacesOf(row.paces, settings.catalogue)
  const switchMs = new Map(row.switches.map((measured) => [measured.pool, measured.switch_ms]))
  const deviceOfQueue = new Map(row.pools.map((pool) => [pool.queue, pool.device]))
  const inFlight = row.in_flight.map((attempt) =>
    inFlightOf(attempt, paces, deviceOfQueue.get(attempt.queue) ?? ''),
  )
  return {
    pools: row.pools.map((pool) => poolOf(pool, switchMs.get(pool.pool) ?? settings.switchMs, settings)),
    inFlight,
    flexQueued: Number(row.flex_queued),
    time,
    running: new RunningCounts(inFlight),
    paces,
    flex: flexMarketOf(row.flex, settings.flexMultiplierBps),
  }
}

function poolOf(row: PoolRow, switchMs: number, settings: FleetSettings): Pool {
  return {
    pool: row.pool,
    queue: row.queue,
    device: row.device,
    slots: row.slots,
    untaken: row.untaken,
    isPaused: row.paused,
    loaded: slotStates(row.workers),
    switchMs,
    switchWaitMsMax: switchWaitMsMax(switchMs, settings.switchWaitMsMax),
    costPerHourMicros: row.cost_per_hour_micros === null ? null : BigInt(row.cost_per_hour_micros),
    capabilities: capabilitiesOfPool(row.pool, row.served, settings.catalogue),
    sequenceDevices: row.sequence_devices,
    framesMax: row.frames_max,
    pixelsMax: row.pixels_max,
  }
}

function inFlightOf(row: InFlightRow, paces: Paces, device: string): InFlight {
  const video = { ...row, video_tokens: BigInt(row.video_tokens) }
  const pool = { pool: row.pool, device }
  return {
    videoId: row.video_id,
    accountId: row.account_id,
    keyId: row.key_id,
    tier: row.service_tier,
    pool: row.pool,
    queue: row.queue,
    fence: row.fence,
    shape: video,
    model: row.model,
    worker: row.worker_id,
    slot: row.slot,
    isTaken: row.taken,
    dispatchedMs: row.dispatched_ms,
    isRunning: row.status === 'running',
    isYielding: row.yielding,
    cameBack: row.fence > 1,
    ranMs: row.ran_ms,
    expiresInMs: row.expires_in_ms,
    freeInMs: row.free_in_ms,
    leftMs: msLeft(row, predictDeviceMs(paces, pool, video, row.num_steps - row.step)),
    uploadMs: predictUploadMs(paces, pool, video),
  }
}

/** Of `ms` for its steps and what else it takes, what is left; before its first step that passes unseen. */
function msLeft({ step, ran_ms: ranMs }: Pick<InFlightRow, 'step' | 'ran_ms'>, ms: number): number {
  return step === 0 ? Math.max(0, ms - ranMs) : ms
}
