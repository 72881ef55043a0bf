import { setTimeout as delay } from 'node:timers/promises'
import { type AttemptResult, attemptResultSchema } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { ObjectTooLargeError } from '../storage/object-store.ts'
import { type Attempt, readAttempt } from '../videos/attempt.ts'
import { Sweeper } from '../videos/sweep.ts'
import { endVideo, lockVideo } from '../videos/transition.ts'
import { attemptPrefix, OUTPUT_FILES, type Video } from '../videos/video.ts'
import { endCancelled, finishVideo } from './finish.ts'
import { retryOrFail } from './requeue-or-fail.ts'

const RESULT_BYTES_MAX = 64 * 1024
/** Rows one round takes up; the rest waits for the next. */
const BATCH = 200
/** After a gap this long between two rounds, workers first get a whole lease to be heard again. */
const GAP_MS = 10_000

export interface Reconciler {
  stop(): Promise<void>
}

/**
 * The one recovery mechanism: brings back what no heartbeat names, ends cancels nobody answered, fails what expired.
 * Every API process may run it: each change is made under the video's lock, after a second look.
 */
export function startReconciler(context: Context): Reconciler {
  const stopping = new AbortController()
  const running = [recoverUntil(context, stopping.signal), sweepUntil(context, stopping.signal)]
  return {
    stop: async () => {
      stopping.abort()
      await Promise.all(running)
    },
  }
}

async function recoverUntil(context: Context, signal: AbortSignal): Promise<void> {
  // Monotonic: a wall clock set back would keep the reconciler patient for as long.
  let lastRoundAtMs = Number.NEGATIVE_INFINITY
  let patientUntilMs = 0
  while (!signal.aborted) {
    const nowMs = performance.now()
    // Heartbeats could not arrive while this process or the database was away; silence before that proves nothing.
    if (nowMs - lastRoundAtMs > GAP_MS) patientUntilMs = nowMs + context.config.timings.leaseMs
    try {
      await reconcile(context, { judgeSilence: nowMs >= patientUntilMs, signal })
      lastRoundAtMs = performance.now()
    } catch (error) {
      context.log.error({ err: error }, 'reconciling failed')
    }
    await delay(context.config.timings.reconcileEveryMs, undefined, { signal }).catch(() => undefined)
  }
}

/** In a loop of its own: a store that is slow or refuses to delete must not keep videos from being recovered. */
async function sweepUntil(context: Context, signal: AbortSignal): Promise<void> {
  const sweeper = new Sweeper(context)
  while (!signal.aborted) {
    await sweeper.sweep().catch((error: unknown) => context.log.error({ err: error }, 'sweeping failed'))
    await delay(context.config.timings.reconcileEveryMs, undefined, { signal }).catch(() => undefined)
  }
}

/**
 * One round; `judgeSilence` false leaves silent attempts alone. What needs no store comes first, and one video that can't be
 * brought on (its object is unreadable, say) keeps nobody else from it. Throws when the database is away.
 */
export async function reconcile(
  context: Context,
  options: { judgeSilence: boolean; signal?: AbortSignal },
): Promise<void> {
  const { db, config } = context
  const due = await db.query<{
    video_id: string
    fence: number
    reason: 'silent' | 'uncancelled' | 'expired'
  }>({
    name: 'reconcile-due',
    text: `(select id as video_id, fence, 'uncancelled' as reason from video
      where status = 'running' and cancel_requested_at < now() - make_interval(secs => $3::float8 / 1000) limit $4)
    union all
    (select id, fence, 'expired' from video
      where status in ('queued', 'dispatched', 'running') and execution_expires_at < now() order by execution_expires_at limit $4)
    union all
    (select video_id, fence, 'silent' from attempt
      where $1 and ended_at is null and heartbeat_at < now() - make_interval(secs => $2::float8 / 1000) order by random() limit $4)`,
    values: [options.judgeSilence, config.timings.leaseMs, config.timings.cancelAnswerMs, BATCH],
  })
  for (const row of due.rows) {
    if (options.signal?.aborted === true) return
    try {
      if (row.reason === 'silent')
        await giveUpAttempt(context, row.video_id, row.fence, { silentMs: config.timings.leaseMs })
      else if (row.reason === 'uncancelled') await endUnansweredCancel(context, row.video_id)
      else await expire(context, row.video_id)
    } catch (error) {
      context.log.error(
        { err: error, video: row.video_id, fence: row.fence, reason: row.reason },
        'a video cannot be recovered yet',
      )
    }
  }
}

/**
 * Ends an attempt whose worker is gone: settled from its `result.json` when it had finished its work, else back to the
 * gate under a raised fence. With `silentMs`, only when no heartbeat has named it for so long; with `onlyUntaken`, only while
 * no worker has taken it.
 */
export async function giveUpAttempt(
  context: Context,
  videoId: string,
  fence: number,
  { silentMs = 0, onlyUntaken = false }: { silentMs?: number; onlyUntaken?: boolean } = {},
): Promise<void> {
  const before = await readAttempt(context.db, videoId, fence)
  if (before === null || before.ended_at !== null) return
  const result = await readResult(context, before)
  const isGivenUp = await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    const attempt = await readAttempt(db, videoId, fence)
    if (video === null || attempt === null || attempt.ended_at !== null || video.fence !== fence) return false
    if (onlyUntaken && attempt.claim !== null) return false
    if (!(await isSilent(db, attempt, silentMs))) return false
    if (result !== null) await finishVideo(db, video, attempt, result, context.systemAccounts)
    else if (video.cancel_requested_at !== null)
      await endCancelled(db, video, video.step, context.systemAccounts, true)
    else {
      await retryOrFail(context, db, video, attempt, {
        code: 'worker_lost',
        message: attempt.claim === null ? 'No worker took it in time.' : 'Its worker fell silent.',
        retryable: true,
      })
    }
    return true
  })
  // Another process was faster, or the worker was heard after all.
  if (!isGivenUp) return
  context.log.warn(
    { video: videoId, fence, worker: before.worker_id, finished: result !== null },
    'gave up an attempt',
  )
  context.wakeGate()
}

/** By the database's clock, as everything that decides about a lease. */
async function isSilent(db: Database, attempt: Attempt, silentMs: number): Promise<boolean> {
  if (silentMs === 0) return true
  const { rows } = await db.query<{ silent: boolean }>({
    text: `select heartbeat_at < now() - make_interval(secs => $3::float8 / 1000) as silent from attempt where video_id = $1 and fence = $2`,
    values: [attempt.video_id, attempt.fence, silentMs],
  })
  return rows[0]?.silent === true
}

/** The result a worker left beside its files before it could report it; null when there is none that fits. */
async function readResult(context: Context, attempt: Attempt): Promise<AttemptResult | null> {
  if (attempt.claim === null) return null
  const prefix = attemptPrefix(attempt.video_id, attempt.fence, attempt.claim)
  const text = await context.store
    .readText(`${prefix}/${OUTPUT_FILES.result}`, RESULT_BYTES_MAX)
    .catch((error: unknown) => {
      if (error instanceof ObjectTooLargeError) return null
      throw error
    })
  if (text === null) return null
  const parsed = attemptResultSchema.safeParse(parseJson(text))
  const fits =
    parsed.success &&
    parsed.data.video === attempt.video_id &&
    parsed.data.fence === attempt.fence &&
    parsed.data.claim === attempt.claim
  if (!fits) return null
  const stored = await context.store.head(`${prefix}/${OUTPUT_FILES.video}`)
  return stored?.bytes === parsed.data.files.video.bytes ? parsed.data : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function endUnansweredCancel(context: Context, videoId: string): Promise<void> {
  await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    if (video?.status !== 'running' || video.cancel_requested_at === null) return
    await endCancelled(db, video, video.step, context.systemAccounts, true)
  })
  context.wakeGate()
}

async function expire(context: Context, videoId: string): Promise<void> {
  await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    if (video === null || !isExpirable(video)) return
    await endVideo(
      db,
      video,
      {
        status: 'failed',
        chargedSteps: 0,
        errorCode: 'expired',
        errorMessage: 'The video was not finished within execution_expires_after.',
        outputPrefix: null,
        attemptOutcome: 'lost',
        raiseFence: true,
      },
      context.systemAccounts,
    )
  })
  context.wakeGate()
}

function isExpirable(video: Video): boolean {
  return ['queued', 'dispatched', 'running'].includes(video.status)
}
