import { LEASE_MS, NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { Database } from '../db/database.ts'
import type { ServiceTier } from '../videos/video.ts'
import type { Head, PoolSnapshot, VirtualTime } from './choose.ts'
import { type Paces, predictMs, readPaces, type Shape } from './predict.ts'

/** A pool as its living workers declare it. */
export interface Pool {
  pool: string
  device: string
  devicesPerSlot: number
  slots: number
  models: string[]
  framesMax: number
  pixelsMax: number
}

/** A slot in use: one video on one pool. */
export interface InFlight {
  videoId: string
  accountId: string
  tier: ServiceTier
  pool: string
  isRunning: boolean
  isYielding: boolean
  expiresInMs: number
  /** Milliseconds until the device is free as the worker expects it; null when it has not said. */
  freeInMs: number | null
}

export interface FleetState {
  pools: Pool[]
  /** Every attempt that has not given its device back. */
  inFlight: InFlight[]
  isShared: boolean
  time: VirtualTime
  paces: Paces
}

/** Accounts that submitted within this long count as active: until then a slot is kept within their reach. */
const ACTIVE_SECONDS = 600

/** Pools of living workers (all workers of a pool serve the same models), what they are at, and the virtual time. */
export async function readFleet(db: Database): Promise<FleetState> {
  const pools = await db.query<{
    pool: string
    device: string
    devices_per_slot: number
    slots: bigint
    models: string[]
    frames_max: number
    pixels_max: number
  }>({
    name: 'gate-pools',
    text: `select pool, min(device) as device, max(devices_per_slot) as devices_per_slot, sum(slots) as slots,
      min(frames_max) as frames_max, min(pixels_max) as pixels_max,
      min(models) as models
    from worker where slots > 0 and not draining and heartbeat_at > now() - make_interval(secs => $1) group by pool order by pool`,
    values: [LEASE_MS / 1_000],
  })
  const inFlight = await db.query<{
    video_id: string
    account_id: string
    service_tier: ServiceTier
    pool: string
    status: string
    yielding: boolean
    expires_in_ms: number
    free_in_ms: number | null
  }>({
    name: 'gate-in-flight',
    text: `select v.id as video_id, v.account_id, v.service_tier, v.pool, v.status, v.yield_requested_at is not null as yielding,
      extract(epoch from v.execution_expires_at - now())::float8 * 1000 as expires_in_ms,
      extract(epoch from a.free_at - now())::float8 * 1000 as free_in_ms
    from video v join attempt a on a.video_id = v.id and a.fence = v.fence
    where v.status in ('dispatched', 'running') and a.released_at is null`,
  })
  const tags = await db.query<{
    service_tier: ServiceTier
    virtual_ms: number
    account_id: string | null
    finish_ms: number | null
    active: bigint
  }>({
    name: 'gate-time',
    text: `select c.service_tier, c.virtual_ms, t.account_id, t.finish_ms,
      (select count(*) from (select from account where last_submitted_at > now() - make_interval(secs => $1) limit 2) a) as active
    from gate_clock c left join gate_tag t on t.service_tier = c.service_tier and t.finish_ms > c.virtual_ms`,
    values: [ACTIVE_SECONDS],
  })
  const clockMs = new Map(tags.rows.map((row) => [row.service_tier, row.virtual_ms]))
  const finishMs = new Map(tags.rows.map((row) => [`${row.service_tier} ${row.account_id}`, row.finish_ms ?? 0]))
  return {
    pools: pools.rows.map((row) => ({
      pool: row.pool,
      device: row.device,
      devicesPerSlot: row.devices_per_slot,
      slots: Number(row.slots),
      models: row.models,
      framesMax: row.frames_max,
      pixelsMax: row.pixels_max,
    })),
    inFlight: inFlight.rows.map((row) => ({
      videoId: row.video_id,
      accountId: row.account_id,
      tier: row.service_tier,
      pool: row.pool,
      isRunning: row.status === 'running',
      isYielding: row.yielding,
      expiresInMs: row.expires_in_ms,
      freeInMs: row.free_in_ms,
    })),
    isShared: (tags.rows[0]?.active ?? 0n) > 1n,
    time: { clockMs, finishMs: (lane, accountId) => finishMs.get(`${lane} ${accountId}`) },
    paces: await readPaces(db),
  }
}

export interface HeadRow extends Shape {
  id: string
  account_id: string
  weight: number
  service_tier: ServiceTier
  checkpoint_step: number | null
  expires_in_ms: number
}

/** The columns a head needs, from video v and account a. */
export const HEAD_COLUMNS = `v.id, v.account_id, a.weight, v.service_tier, v.model, v.resolution, v.width, v.height, v.num_frames, v.num_steps,
  v.video_tokens, v.checkpoint_step, extract(epoch from v.execution_expires_at - now())::float8 * 1000 as expires_in_ms`

/**
 * For each account with something queued that this pool could run, the first such video of each tier: an index scan that
 * jumps from account to account, so its cost grows with the accounts in line and not with the backlog.
 */
export async function readHeads(db: Database, pool: Pool, paces: Paces): Promise<Head[]> {
  if (pool.models.length === 0) return []
  const { rows } = await db.query<HeadRow>({
    name: 'gate-heads',
    text: `with recursive line as (
      select m.model, t.tier, (select min(v.account_id) from video v
        where v.status = 'queued' and v.model = m.model and v.service_tier = t.tier) as account_id
      from unnest($1::text[]) m(model), unnest(array['priority', 'standard', 'flex']) t(tier)
      union all
      select l.model, l.tier, (select min(v.account_id) from video v
        where v.status = 'queued' and v.model = l.model and v.service_tier = l.tier and v.account_id > l.account_id)
      from line l where l.account_id is not null)
    select ${HEAD_COLUMNS} from line l
    join account a on a.id = l.account_id
    cross join lateral (
      select * from video q where q.status = 'queued' and q.model = l.model and q.service_tier = l.tier and q.account_id = l.account_id
        and q.num_frames <= $2 and q.width * q.height <= $3 and (512 + q.video_tokens) % $4 = 0
        and q.execution_expires_at > now()
      order by q.id limit 1) v`,
    values: [pool.models, pool.framesMax, pool.pixelsMax, pool.devicesPerSlot],
  })
  return rows.map((row) => headOf(row, pool, paces))
}

/** A queued row as the gate sees it. */
export function headOf(row: HeadRow, pool: Pick<Pool, 'pool' | 'device'>, paces: Paces): Head {
  return {
    videoId: row.id,
    accountId: row.account_id,
    weight: row.weight,
    tier: row.service_tier,
    costMs: predictMs(paces, pool, row, row.num_steps - (row.checkpoint_step ?? 0)),
    expiresInMs: row.expires_in_ms,
  }
}

/** A slot's video counts until its device is free or nearly so: from then on the slot may be offered its next one. */
export function occupiesSlot(attempt: Pick<InFlight, 'freeInMs'>): boolean {
  return attempt.freeInMs === null || attempt.freeInMs > NEARLY_FREE_MS
}

/** One pool's part of the fleet, with the heads of its lines. */
export function poolSnapshot(fleet: FleetState, pool: Pool, heads: readonly Head[]): PoolSnapshot {
  const occupying = fleet.inFlight.filter((attempt) => attempt.pool === pool.pool && occupiesSlot(attempt))
  const heldByAccount = new Map<string, number>()
  for (const attempt of occupying) heldByAccount.set(attempt.accountId, (heldByAccount.get(attempt.accountId) ?? 0) + 1)
  return {
    pool: pool.pool,
    slots: pool.slots,
    freeSlots: pool.slots - occupying.length,
    heldByAccount,
    isShared: fleet.isShared,
    heads,
  }
}
