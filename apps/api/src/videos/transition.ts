import { costMicros } from '@sluice/shared/money'
import type { Database } from '../db/database.ts'
import { returnToBudget } from '../keys/budget.ts'
import type { SystemAccounts } from '../ledger/accounts.ts'
import { settle } from '../ledger/hold.ts'
import { enqueueVideoEnd } from '../webhooks/enqueue.ts'
import type { Video, VideoStatus } from './video.ts'

/** From each state, the states that may follow. Ended states are final. */
const FOLLOWERS: Record<VideoStatus, readonly VideoStatus[]> = {
  queued: ['dispatched', 'failed', 'cancelled'],
  dispatched: ['running', 'queued', 'completed', 'failed', 'cancelled'],
  running: ['queued', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
}

/** A change of state the table above does not allow: a defect in the caller, never a race (the row is locked). */
export class IllegalTransitionError extends Error {
  override readonly name = 'IllegalTransitionError'

  constructor(video: Pick<Video, 'id' | 'status'>, to: VideoStatus) {
    super(`video ${video.id} cannot go from ${video.status} to ${to}`)
  }
}

/** Reads one video and locks its row until the transaction ends: how every change of state begins. */
export async function lockVideo(db: Database, videoId: string): Promise<Video | null> {
  const { rows } = await db.query<Video>({
    name: 'video-lock',
    text: 'select * from video where id = $1 for update',
    values: [videoId],
  })
  return rows[0] ?? null
}

/** What became of a dispatch: the attempt's fence, or why there is none. */
export type Dispatched = { fence: number } | { refused: 'not_queued' | 'pool_gone' }

/**
 * Gives a queued video to a pool under a new fence and opens its attempt, in one statement. Refused when the video was no
 * longer queued (cancelled in between), or no worker of the pool takes anything any more: nobody would take it there. Moves
 * the gate's virtual time in the same statement.
 */
export async function dispatchVideo(
  db: Database,
  dispatch: {
    videoId: string
    accountId: string
    pool: string
    /** The tier whose virtual time it moves. */
    tier: string
    startTagMs: number
    finishTagMs: number
    leaseMs: number
  },
): Promise<Dispatched> {
  const { rows } = await db.query<{ fence: number | null; is_served: boolean }>({
    name: 'video-dispatch',
    text: `with p as (
      select from living_worker($7) where pool = $2 limit 1),
    v as (
      update video set status = 'dispatched', fence = fence + 1, pool = $2, yield_requested_at = null
      where id = $1 and status = 'queued' and exists (select from p) returning id, fence, checkpoint_step),
    a as (
      insert into attempt (video_id, fence, pool, resumed_from_step, step)
      select id, fence, $2, coalesce(checkpoint_step, 0), coalesce(checkpoint_step, 0) from v),
    c as (update gate_clock set virtual_ms = greatest(virtual_ms, $5) from v where service_tier = $4),
    t as (
      insert into gate_tag (service_tier, account_id, finish_ms) select $4, $3, $6 from v
      on conflict (service_tier, account_id) do update set finish_ms = excluded.finish_ms)
    select (select fence from v) as fence, exists (select from p) as is_served`,
    values: [
      dispatch.videoId,
      dispatch.pool,
      dispatch.accountId,
      dispatch.tier,
      dispatch.startTagMs,
      dispatch.finishTagMs,
      dispatch.leaseMs,
    ],
  })
  const row = rows[0]
  if (row?.fence !== null && row?.fence !== undefined) return { fence: row.fence }
  return { refused: row?.is_served === true ? 'not_queued' : 'pool_gone' }
}

/** dispatched -> running. */
export async function startVideo(db: Database, video: Video): Promise<void> {
  assertAllowed(video, 'running')
  await db.query({
    name: 'video-start',
    text: `update video set status = 'running', started_at = coalesce(started_at, now()) where id = $1`,
    values: [video.id],
  })
}

/** Why an attempt ended without ending its video. */
export interface Requeue {
  outcome: 'failed' | 'yielded' | 'lost'
  errorCode: string | null
  errorMessage: string | null
  /** Raised when the attempt's worker may still be alive somewhere: from then on it is a zombie. */
  raiseFence: boolean
  failuresInARow: number
  /** The checkpoint turned out useless: start over. */
  dropCheckpoint: boolean
}

/** dispatched | running -> queued. The video keeps its place: an account's line is ordered by id, not by time of queueing. */
export async function requeueVideo(db: Database, video: Video, requeue: Requeue): Promise<void> {
  assertAllowed(video, 'queued')
  await db.query({
    name: 'video-requeue',
    text: `with v as (
      update video set status = 'queued', pool = null, yield_requested_at = null,
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

/** How a video ends, and how many of its steps are charged. */
export interface End {
  status: 'completed' | 'failed' | 'cancelled'
  chargedSteps: number
  errorCode: string | null
  errorMessage: string | null
  outputPrefix: string | null
  attemptOutcome: 'completed' | 'failed' | 'cancelled' | 'lost'
  raiseFence: boolean
}

/**
 * Ends a video and settles its hold in the caller's transaction: charged for `chargedSteps` at the frozen price, the
 * rest given back, the tokens not charged returned to the budget of its key, its event put into the outbox. Safe against a
 * second end twice over: by FOLLOWERS here and by the ledger's unique index.
 */
export async function endVideo(db: Database, video: Video, end: End, system: SystemAccounts): Promise<void> {
  assertAllowed(video, end.status)
  const chargeMicros = costMicros(
    video.video_tokens * BigInt(end.chargedSteps),
    video.price_micros_per_million,
    BigInt(video.multiplier_bps),
  )
  await db.query({
    name: 'video-end',
    text: `with v as (
      update video set status = $2, charged_steps = $3, charged_micros = $4, error_code = $5, error_message = $6, output_prefix = $7,
        fence = fence + case when $8 then 1 else 0 end, ended_at = now(),
        expires_at = case when $2 = 'completed' then now() + make_interval(secs => retention_seconds) end,
        step = case when $2 = 'completed' then num_steps else step end
      where id = $1)
    update attempt set ended_at = now(), outcome = $9, error_code = $5, error_message = $6
    where video_id = $1 and fence = $10 and ended_at is null`,
    values: [
      video.id,
      end.status,
      end.chargedSteps,
      chargeMicros,
      end.errorCode,
      end.errorMessage,
      end.outputPrefix,
      end.raiseFence,
      end.attemptOutcome,
      video.fence,
    ],
  })
  await settle(
    db,
    { videoId: video.id, accountId: video.account_id, currency: video.currency, chargeMicros },
    system,
  )
  await enqueueVideoEnd(db, video, end.status === 'completed' ? 'video.completed' : 'video.failed')
  const unusedTokens = video.video_tokens * BigInt(video.num_steps - end.chargedSteps)
  if (video.budget_starts_at !== null && unusedTokens > 0n)
    await returnToBudget(db, video.key_id, video.budget_starts_at, unusedTokens)
}

function assertAllowed(video: Pick<Video, 'id' | 'status'>, to: VideoStatus): void {
  if (!FOLLOWERS[video.status].includes(to)) throw new IllegalTransitionError(video, to)
}
