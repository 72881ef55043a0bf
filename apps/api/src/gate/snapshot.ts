import { LEASE_MS, NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { Catalogue } from '@sluice/shared/model-catalogue'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { type Database, one } from '../db/database.ts'
import { type PaceRow, type Paces, pacesOf, predictMs, type Shape } from '../workers/pace.ts'
import { capabilitiesOfPool, type WorkerOffer } from '../workers/pool-capabilities.ts'
import { type Head, VirtualTime } from './choose.ts'
import { Running } from './running-counts.ts'

/** A pool as its living workers declare it. */
export interface Pool {
  pool: string
  device: string
  slots: number
  /** What every one of its workers offers and the catalogue lets it make. */
  capabilities: string[]
  /** Devices a sequence is split over: 512 + video tokens must be a multiple of it. */
  sequenceDevices: number
  framesMax: number
  pixelsMax: number
}

/** A slot in use: one video on one pool. */
export interface InFlight {
  videoId: string
  accountId: string
  keyId: string
  tier: ServiceTier
  pool: string
  isRunning: boolean
  isYielding: boolean
  expiresInMs: number
  /** Milliseconds until the device is free as the worker expects it; null when it has not said. */
  freeInMs: number | null
  /** Predicted GPU milliseconds of the steps it has left. */
  leftMs: number
}

export interface FleetState {
  pools: Pool[]
  /** Every attempt that has not given its device back. */
  inFlight: InFlight[]
  /** Whether more than one account has been active lately. */
  isShared: boolean
  time: VirtualTime
  /** What runs, of each account and key; like the time, kept up by whoever dispatches. */
  running: Running
  paces: Paces
}

/** Accounts that submitted within this long count as active: until then a slot is kept within their reach. */
const ACTIVE_SECONDS = 600

interface FleetRow {
  pools: {
    pool: string
    device: string
    sequence_devices: number
    slots: number
    offers: WorkerOffer[]
    frames_max: number
    pixels_max: number
  }[]
  in_flight: (Omit<Shape, 'video_tokens'> & {
    video_tokens: number
    video_id: string
    account_id: string
    key_id: string
    service_tier: ServiceTier
    pool: string
    status: string
    step: number
    yielding: boolean
    expires_in_ms: number
    free_in_ms: number | null
  })[]
  clocks: { service_tier: ServiceTier; virtual_ms: number }[]
  tags: { service_tier: ServiceTier; account_id: string; finish_ms: number }[]
  paces: PaceRow[]
  active: bigint
}

/** One statement for all of it: one snapshot, one way there and back. */
const FLEET_SQL = `select
  (select coalesce(json_agg(p), '[]') from (
    select pool, min(device) as device, max(sequence_devices) as sequence_devices, sum(slots) as slots,
      json_agg(distinct jsonb_build_object('models', models, 'modes', modes)) as offers, min(frames_max) as frames_max, min(pixels_max) as pixels_max
    from worker where slots > 0 and not draining and heartbeat_at > now() - make_interval(secs => $1) group by pool order by pool) p) as pools,
  (select coalesce(json_agg(f), '[]') from (
    select v.id as video_id, v.account_id, v.key_id, v.service_tier, v.pool, v.status, v.yield_requested_at is not null as yielding,
      v.model, v.capability, v.resolution, v.width, v.height, v.num_frames, v.num_steps, v.video_tokens, v.step,
      extract(epoch from v.execution_expires_at - now())::float8 * 1000 as expires_in_ms,
      extract(epoch from a.free_at - now())::float8 * 1000 as free_in_ms
    from video v join attempt a on a.video_id = v.id and a.fence = v.fence
    where v.status in ('dispatched', 'running') and a.released_at is null) f) as in_flight,
  (select json_agg(c) from (select service_tier, virtual_ms from gate_clock) c) as clocks,
  (select coalesce(json_agg(t), '[]') from (
    select t.service_tier, t.account_id, t.finish_ms from gate_clock c join gate_tag t
    on t.service_tier = c.service_tier and t.finish_ms > c.virtual_ms) t) as tags,
  (select coalesce(json_agg(p), '[]') from (
    select pool, capability, width, height, num_frames, step_ms, overhead_ms from pace) p) as paces,
  (select count(*) from (select from account where last_submitted_at > now() - make_interval(secs => $2) limit 2) a) as active`

/** Pools of living workers, what they are at, and the virtual time. */
export async function readFleet(db: Database, catalogue: Catalogue): Promise<FleetState> {
  const row = one(
    await db.query<FleetRow>({
      name: 'gate-fleet',
      text: FLEET_SQL,
      values: [LEASE_MS / 1_000, ACTIVE_SECONDS],
    }),
  )
  const time = new VirtualTime()
  for (const clock of row.clocks) time.raiseClock(clock.service_tier, clock.virtual_ms)
  for (const tag of row.tags) time.raiseFinish(tag.service_tier, tag.account_id, tag.finish_ms)
  const paces = pacesOf(row.paces)
  const deviceOf = new Map(row.pools.map((pool) => [pool.pool, pool.device]))
  const inFlight = row.in_flight.map((attempt) => ({
    videoId: attempt.video_id,
    accountId: attempt.account_id,
    keyId: attempt.key_id,
    tier: attempt.service_tier,
    pool: attempt.pool,
    isRunning: attempt.status === 'running',
    isYielding: attempt.yielding,
    expiresInMs: attempt.expires_in_ms,
    freeInMs: attempt.free_in_ms,
    leftMs: predictMs(
      paces,
      { pool: attempt.pool, device: deviceOf.get(attempt.pool) ?? '' },
      { ...attempt, video_tokens: BigInt(attempt.video_tokens) },
      attempt.num_steps - attempt.step,
    ),
  }))
  return {
    pools: row.pools.map((pool) => ({
      pool: pool.pool,
      device: pool.device,
      slots: pool.slots,
      capabilities: capabilitiesOfPool(pool.pool, pool.offers, catalogue),
      sequenceDevices: pool.sequence_devices,
      framesMax: pool.frames_max,
      pixelsMax: pool.pixels_max,
    })),
    inFlight,
    isShared: row.active > 1n,
    time,
    running: new Running(inFlight),
    paces,
  }
}

export interface HeadRow extends Shape {
  id: string
  model: string
  account_id: string
  key_id: string
  weight: number
  account_running_max: number | null
  key_running_max: number | null
  service_tier: ServiceTier
  checkpoint_step: number | null
  expires_in_ms: number
}

/** The columns a head needs, from video v, its key k and account a. */
export const HEAD_COLUMNS = `v.id, v.account_id, v.key_id, a.weight, a.running_max as account_running_max, k.running_max as key_running_max, v.service_tier, v.model, v.capability, v.resolution, v.width, v.height, v.num_frames, v.num_steps,
  v.video_tokens, v.checkpoint_step, extract(epoch from v.execution_expires_at - now())::float8 * 1000 as expires_in_ms`

/** A queued row as the gate sees it. */
export function headOf(row: HeadRow, pool: Pick<Pool, 'pool' | 'device'>, paces: Paces): Head {
  return {
    videoId: row.id,
    accountId: row.account_id,
    model: row.model,
    keyId: row.key_id,
    line: lineOf(row),
    accountRunningMax: row.account_running_max,
    keyRunningMax: row.key_running_max,
    weight: row.weight,
    tier: row.service_tier,
    costMs: predictMs(paces, pool, row, row.num_steps - (row.checkpoint_step ?? 0)),
    expiresInMs: row.expires_in_ms,
  }
}

/** As the index the lines are read by has them. */
export function lineOf(
  row: Pick<HeadRow, 'capability' | 'service_tier' | 'width' | 'height' | 'num_frames' | 'key_id'>,
): string {
  return `${row.capability} ${row.service_tier} ${row.width}x${row.height}x${row.num_frames} ${row.key_id}`
}

/** A slot's video counts until its device is free or nearly so: from then on the slot may be offered its next one. */
export function occupiesSlot(attempt: Pick<InFlight, 'freeInMs'>): boolean {
  return attempt.freeInMs === null || attempt.freeInMs > NEARLY_FREE_MS
}

/** What stands on one pool's slots. */
export function occupantsOf(fleet: Pick<FleetState, 'inFlight'>, pool: Pick<Pool, 'pool'>): InFlight[] {
  return fleet.inFlight.filter((attempt) => attempt.pool === pool.pool && occupiesSlot(attempt))
}

/** How many slots each account holds. */
export function slotsByAccount(occupants: readonly Pick<InFlight, 'accountId'>[]): Map<string, number> {
  const held = new Map<string, number>()
  for (const { accountId } of occupants) held.set(accountId, (held.get(accountId) ?? 0) + 1)
  return held
}
