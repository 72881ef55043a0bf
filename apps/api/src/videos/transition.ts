import { costMicros } from '@sluice/shared/money'
import { type Database, one } from '../db/database.ts'
import { returnToBudget } from '../keys/budget.ts'
import type { SystemAccounts } from '../ledger/accounts.ts'
import { settle } from '../ledger/hold.ts'
import { enqueueVideoEvent } from '../webhooks/enqueue.ts'
import type { Attempt } from './attempt.ts'
import type { VideoEnd } from './end.ts'
import type { Requeue } from './requeue.ts'
import type { PromiseState, Video, VideoStatus } from './video.ts'

/*
 * The only writer of `video.status`, and of what changes with it: the video's other columns, and the
 * beginning and end of its attempt, which stand in one statement with the status. What changes while the
 * status stays is written by video-store.ts (table video) and attempt-store.ts (table attempt, and with it
 * the video's step).
 */

/** From each state, the states that may follow. Ended states are final. */
const FOLLOWERS: Record<VideoStatus, readonly VideoStatus[]> = {
  queued: ['dispatched', 'failed', 'cancelled'],
  dispatched: ['running', 'queued', 'completed', 'failed', 'cancelled'],
  running: ['queued', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
}

/**
 * A change of state the table above does not allow: a defect in the caller, never a race (the row is locked).
 */
class IllegalTransitionError extends Error {
  override readonly name = 'IllegalTransitionError'

  constructor(video: Pick<Video, 'id' | 'status'>, to: VideoStatus) {
    super(`video ${video.id} cannot go from ${video.status} to ${to}`)
  }
}

declare const locked: unique symbol

/** A video as it stands under its row's lock, until the transaction ends. Only `lockVideo` makes one. */
export type LockedVideo = Video & { readonly [locked]: true }

/**
 * Reads one video and locks its row until the transaction ends; null when there is none. Every change of
 * state begins here.
 */
export async function lockVideo(db: Database, videoId: string): Promise<LockedVideo | null> {
  const { rows } = await db.query<LockedVideo>({
    name: 'video-lock',
    text: 'select * from video where id = $1 for update',
    values: [videoId],
  })
  return rows[0] ?? null
}

/** A dispatch of a group to one queue. */
export interface Dispatch {
  pool: string
  queue: string
  leaseMs: number
  /** What flex costs now: the price of flex videos that are dispatched for the first time. */
  flexMultiplierBps: number
  /** In the order they were chosen in; each once. */
  videos: readonly DispatchedVideo[]
}

interface DispatchedVideo {
  videoId: string
  accountId: string
  /** The tier it was chosen in; a flex video near its deadline is chosen in standard. */
  tier: string
  /** Where the tier's clock goes. */
  clockMs: number
  finishTagMs: number
  /** Queued videos that it is taken before though they are fairer. */
  passedOver: readonly string[]
}

/** What became of a dispatch. */
export interface Dispatched {
  /** The fences of the new attempts: of the first videos of the group, in its order. */
  fences: readonly number[]
  /** Those of the group that are no longer queued: the dispatch ends before the first of them. */
  gone: ReadonlySet<string>
  /** No worker takes videos from the queue any more: nothing was dispatched. */
  isPoolGone: boolean
}

/**
 * queued -> dispatched: gives videos to a pool under new fences, opens their attempts, moves the gate's
 * virtual time and notes since when others are passed over, in one statement. The first dispatch of a flex
 * video is what prices it. The statement ends before the first video that is no longer queued (cancelled
 * meanwhile) or that flex costs too much for, since those after it were chosen as if it went. Locks the rows
 * by itself, and waits for those that another transaction has locked.
 */
export async function dispatchVideos(db: Database, dispatch: Dispatch): Promise<Dispatched> {
  const { videos } = dispatch
  const passedOver = firstPassedOver(videos)
  const { rows } = await db.query<{ id: string; fence: number | null; stands: boolean; is_served: boolean }>({
    name: 'video-dispatch',
    text: DISPATCH_SQL,
    values: [
      dispatch.leaseMs,
      dispatch.queue,
      dispatch.pool,
      videos.map(({ videoId }) => videoId),
      videos.map(({ accountId }) => accountId),
      videos.map(({ tier }) => tier),
      videos.map(({ clockMs }) => clockMs),
      videos.map(({ finishTagMs }) => finishTagMs),
      [...passedOver.keys()],
      [...passedOver.values()],
      dispatch.flexMultiplierBps,
    ],
  })
  const isPoolGone = rows[0]?.is_served === false
  return {
    fences: rows.flatMap(({ fence }) => fence ?? []),
    gone: new Set(isPoolGone ? [] : rows.flatMap(({ id, stands }) => (stands ? [] : id))),
    isPoolGone,
  }
}

/** By the id of each video that is passed over: the place of the first of the group that is taken before. */
function firstPassedOver(videos: readonly DispatchedVideo[]): ReadonlyMap<string, number> {
  const places = new Map<string, number>()
  for (const [index, { passedOver }] of videos.entries()) {
    for (const id of passedOver) if (!places.has(id)) places.set(id, index + 1)
  }
  return places
}

const DISPATCH_SQL = `
  with living as (select from living_worker($1) where queue = $2 limit 1),
  chosen as (
    select * from unnest($4::text[], $5::text[], $6::text[], $7::float8[], $8::float8[])
      with ordinality as c(id, account_id, tier, clock_ms, finish_ms, place)),
  standing as (
    select id from video
    where id = any ($4::text[]) and status = 'queued' and exists (select from living)
      and waits_for is null and (max_price_micros is null or fence > 0 or multiplier_bps >= $11)
    order by id for no key update),
  gone as (select min(place) as place from chosen where id not in (select id from standing)),
  going as (select chosen.* from chosen, gone where gone.place is null or chosen.place < gone.place),
  passed_over as (
    select p.id from unnest($9::text[], $10::bigint[]) p(id, place), gone
    where gone.place is null or p.place < gone.place),
  dispatched as (
    update video v
    set status = 'dispatched', fence = v.fence + 1, pool = $3, yield_requested_at = null,
      multiplier_bps = case
        when v.service_tier = 'flex' and v.fence = 0 then least(v.multiplier_bps, $11)
        else v.multiplier_bps
      end,
      passed_over_at = case
        when v.id in (select id from passed_over) then coalesce(v.passed_over_at, now())
        else v.passed_over_at
      end
    from going g where v.id = g.id
    returning v.id, v.fence, v.checkpoint_step),
  opened as (
    insert into attempt (video_id, fence, pool, queue, resumed_from_step, step)
    select id, fence, $3, $2, coalesce(checkpoint_step, 0), coalesce(checkpoint_step, 0) from dispatched),
  clock as (
    update gate_clock c set virtual_ms = greatest(c.virtual_ms, g.clock_ms)
    from (select tier, max(clock_ms) as clock_ms from going group by tier) g where c.service_tier = g.tier),
  tag as (
    insert into gate_tag (service_tier, account_id, finish_ms)
    select tier, account_id, max(finish_ms) from going group by tier, account_id
    on conflict (service_tier, account_id) do update set finish_ms = excluded.finish_ms),
  noted as (
    update video set passed_over_at = now()
    -- one that is locked is being ended
    where id in (
      select id from video
      where id in (select id from passed_over where id not in (select id from going))
        and status = 'queued' and passed_over_at is null
      for update skip locked))
  select c.id, d.fence, s.id is not null as stands, exists (select from living) as is_served
  from chosen c
  left join dispatched d on d.id = c.id
  left join standing s on s.id = c.id
  order by c.place`

/** dispatched -> running. Throws IllegalTransitionError. */
export async function startVideo(db: Database, video: LockedVideo): Promise<void> {
  assertAllowed(video, 'running')
  await db.query({
    name: 'video-start',
    text: `update video set status = 'running', started_at = coalesce(started_at, now()) where id = $1`,
    values: [video.id],
  })
}

/** What a running attempt says, and who says it. */
export interface RunningReport {
  videoId: string
  fence: number
  claim: string
  workerId: string
  keyId: string
  type: 'started' | 'progress' | 'released'
  /** Of a progress. */
  step: number
  phase: string | null
  /** Until the device is free; null when the worker cannot say. */
  remainingMs: number | null
}

/** What stood in the rows of an attempt whose report was written. */
export type Reported = Pick<Video, 'cancel_requested_at' | 'yield_requested_at'> &
  Pick<Attempt, 'free_at' | 'heartbeat_at'> & { video_id: string }

/**
 * dispatched | running -> running, for many videos in one statement of its own: writes what their attempts
 * say, as `startVideo`, `writeStart`, `writeProgress` and `writeRelease` do for one. At most one report of a
 * video. Leaves out every report that is not of a video's newest attempt, bound to this claim, worker and
 * token, and every video that another transaction has locked: it waits for nobody, so that one video holds
 * up no other, and two of these statements never wait for each other. What a crash of the database loses of
 * it, the next report says again.
 */
export async function writeReports(db: Database, reports: readonly RunningReport[]): Promise<Reported[]> {
  const { rows } = await db.query<Reported>({
    name: 'videos-report',
    text: `
      with sent as (
        select *
        from unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
          $8::text[], $9::float8[]) s(video, fence, claim, worker, key, type, step, phase, remaining_ms)),
      locked as (
        select v.id, v.fence, v.num_steps, v.cancel_requested_at, v.yield_requested_at
        from sent s join video v on v.id = s.video and v.fence = s.fence
        where v.status in ('dispatched', 'running')
        for update of v skip locked),
      own as (
        select s.*, least(s.step, v.num_steps) as step_done, v.cancel_requested_at, v.yield_requested_at,
          a.free_at, a.heartbeat_at
        from locked v
        join sent s on s.video = v.id
        join attempt a on a.video_id = v.id and a.fence = v.fence
        where a.claim = s.claim and a.worker_id = s.worker and a.key_id = s.key),
      shown as (
        update video v
        set status = 'running', started_at = coalesce(v.started_at, now()),
          step = greatest(v.step, o.step_done)
        from own o
        where v.id = o.video and o.type <> 'released' and (v.status <> 'running' or v.step < o.step_done)),
      written as (
        update attempt a
        set heartbeat_at = now(), step = greatest(a.step, o.step_done),
          started_at = case when o.type = 'released' then a.started_at else coalesce(a.started_at, now()) end,
          released_at = case
            when o.type = 'released' then coalesce(a.released_at, now())
            else a.released_at
          end,
          phase = case when o.type = 'progress' then o.phase else a.phase end,
          free_at = case
            when o.type = 'progress' then now() + make_interval(secs => o.remaining_ms / 1000)
            else a.free_at
          end
        from own o
        where a.video_id = o.video and a.fence = o.fence)
      select video as video_id, cancel_requested_at, yield_requested_at, free_at, heartbeat_at,
        set_config('synchronous_commit', 'off', true)
      from own`,
    values: [
      reports.map(({ videoId }) => videoId),
      reports.map(({ fence }) => fence),
      reports.map(({ claim }) => claim),
      reports.map(({ workerId }) => workerId),
      reports.map(({ keyId }) => keyId),
      reports.map(({ type }) => type),
      reports.map(({ step }) => step),
      reports.map(({ phase }) => phase),
      reports.map(({ remainingMs }) => remainingMs),
    ],
  })
  return rows
}

/**
 * dispatched | running -> queued. Ends the attempt. The video keeps its place: queued videos are ordered by
 * id, not by when they were queued. Throws IllegalTransitionError.
 */
export async function requeueVideo(db: Database, video: LockedVideo, requeue: Requeue): Promise<void> {
  assertAllowed(video, 'queued')
  await db.query({
    name: 'video-requeue',
    text: `
      with queued as (
        update video
        set status = 'queued', pool = null, yield_requested_at = null,
          fence = fence + case when $2 then 1 else 0 end,
          failures_in_a_row = $3,
          checkpoint_key = case when $4 then null else checkpoint_key end,
          checkpoint_step = case when $4 then null else checkpoint_step end,
          step = case when $4 then 0 else coalesce(checkpoint_step, 0) end
        where id = $1)
      update attempt set ended_at = now(), outcome = $5, error_code = $6, error_message = $7
      where video_id = $1 and fence = $8 and ended_at is null`,
    values: [
      video.id,
      requeue.raiseFence,
      requeue.failuresInARow,
      requeue.dropCheckpoint,
      requeue.outcome,
      requeue.errorCode,
      requeue.errorMessage,
      video.fence,
    ],
  })
}

/**
 * Ends a video and its attempt, and settles its hold, in the caller's transaction: `end.chargedSteps` are
 * charged at the frozen price, less what a missed promise gives back, the rest of the hold is returned, the
 * tokens not charged go back to the budget of its key, and its event goes into the outbox. A second end fails
 * twice over: by FOLLOWERS here and by the ledger's unique index. Throws IllegalTransitionError.
 */
export async function endVideo(
  db: Database,
  video: LockedVideo,
  end: VideoEnd,
  system: SystemAccounts,
): Promise<void> {
  assertAllowed(video, end.status)
  const promise = video.promise === null ? null : await decidePromise(db, video, end.status)
  const money = moneyOf(video, end.chargedSteps, promise)
  await writeEnd(db, video, end, { ...money, promise })
  const { id: videoId, account_id: accountId, currency } = video
  await settle(db, { videoId, accountId, currency, ...money }, system)
  if (promise === 'missed' && video.promise === 'given')
    await enqueueVideoEvent(db, video, 'video.promise_missed')
  await enqueueVideoEvent(db, video, end.status === 'completed' ? 'video.completed' : 'video.failed')
  const unusedTokens = video.video_tokens * BigInt(video.num_steps - end.chargedSteps)
  if (video.budget_starts_at !== null && unusedTokens > 0n)
    await returnToBudget(db, video.key_id, video.budget_starts_at, unusedTokens)
}

/** What becomes of the video's promise when it ends so, by the database's clock. */
async function decidePromise(
  db: Database,
  video: LockedVideo,
  status: VideoEnd['status'],
): Promise<PromiseState> {
  const { promise } = one(
    await db.query<{ promise: PromiseState }>({
      name: 'video-promise',
      text: `
        select case
          when promise <> 'given' then promise
          when $2 = 'completed' and now() <= deliver_by then 'kept'
          when $2 = 'cancelled' and coalesce(cancel_requested_at, now()) <= deliver_by then 'void'
          else 'missed'
        end as promise
        from video
        where id = $1`,
      values: [video.id, status],
    }),
  )
  return promise
}

/**
 * What a video is charged for these steps, and what of it is given back: when its promise was missed, what
 * they cost more than at the multiplier that was frozen for that.
 */
function moneyOf(
  video: Video,
  steps: number,
  promise: PromiseState | null,
): { chargeMicros: bigint; rebateMicros: bigint } {
  const costAt = (multiplierBps: number) =>
    costMicros(video.video_tokens * BigInt(steps), video.price_micros_per_million, BigInt(multiplierBps))
  const chargeMicros = costAt(video.multiplier_bps)
  const lateMicros =
    promise === 'missed' && video.missed_multiplier_bps !== null
      ? costAt(video.missed_multiplier_bps)
      : chargeMicros
  return { chargeMicros, rebateMicros: lateMicros < chargeMicros ? chargeMicros - lateMicros : 0n }
}

async function writeEnd(
  db: Database,
  video: LockedVideo,
  end: VideoEnd,
  money: { chargeMicros: bigint; rebateMicros: bigint; promise: PromiseState | null },
): Promise<void> {
  await db.query({
    name: 'video-end',
    text: `
      with ended as (
        update video
        set status = $2, charged_steps = $3, charged_micros = $4, error_code = $5, error_message = $6,
          output_prefix = $7, ended_at = now(), promise = $11, rebate_micros = $12,
          fence = fence + case when $8 then 1 else 0 end,
          expires_at = case when $2 = 'completed' then now() + make_interval(secs => retention_seconds) end,
          step = case when $2 = 'completed' then num_steps else step end
        where id = $1)
      update attempt set ended_at = now(), outcome = $9, error_code = $5, error_message = $6
      where video_id = $1 and fence = $10 and ended_at is null`,
    values: [
      video.id,
      end.status,
      end.chargedSteps,
      money.chargeMicros - money.rebateMicros,
      end.errorCode,
      end.errorMessage,
      end.outputPrefix,
      end.raiseFence,
      end.attemptOutcome,
      video.fence,
      money.promise,
      money.rebateMicros,
    ],
  })
}

function assertAllowed(video: Pick<Video, 'id' | 'status'>, to: VideoStatus): void {
  if (!FOLLOWERS[video.status].includes(to)) throw new IllegalTransitionError(video, to)
}
