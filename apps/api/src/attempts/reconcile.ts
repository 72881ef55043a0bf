import { pause } from '@sluice/shared/pause'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { expiredEnd, unansweredCancelEnd } from '../videos/end.ts'
import { Sweeper } from '../videos/sweep.ts'
import { endVideo, lockVideo } from '../videos/transition.ts'
import { IS_UNFINISHED_SQL, isUnfinished } from '../videos/video.ts'
import { giveUpAttempt } from './give-up.ts'

/** Rows of each kind that one round takes up; the others wait for the next. */
const BATCH = 200
/** After a gap this long between two rounds, workers first get a whole lease to be heard again. */
const GAP_MS = 10_000

export interface Reconciler {
  stop(): Promise<void>
}

/**
 * The one recovery mechanism: gives up attempts that no heartbeat names, ends cancels that no worker
 * answered, fails what expired. Every API process may run it: each change is made under the video's lock,
 * after a second look.
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
  const { leaseMs, reconcileEveryMs } = context.config.timings
  // On the monotonic clock: a wall clock set back would keep silent attempts from being given up for as long.
  let lastRoundAtMs = Number.NEGATIVE_INFINITY
  let patientUntilMs = 0
  while (!signal.aborted) {
    const nowMs = performance.now()
    // While this process or the database was away, no heartbeat could arrive: silence proves nothing.
    if (nowMs - lastRoundAtMs > GAP_MS) patientUntilMs = nowMs + leaseMs
    try {
      await reconcile(context, { giveUpSilent: nowMs >= patientUntilMs, signal })
      lastRoundAtMs = performance.now()
    } catch (error) {
      context.log.error({ err: error }, 'reconciling failed')
    }
    await pause(reconcileEveryMs, signal)
  }
}

/** A loop of its own: a store that is slow or refuses to delete must not keep videos from being recovered. */
async function sweepUntil(context: Context, signal: AbortSignal): Promise<void> {
  const sweeper = new Sweeper(context)
  while (!signal.aborted) {
    await sweeper.sweep().catch((error: unknown) => context.log.error({ err: error }, 'sweeping failed'))
    await pause(context.config.timings.reconcileEveryMs, signal)
  }
}

interface DueRow {
  video_id: string
  fence: number
  reason: 'silent' | 'cancel_unanswered' | 'expired'
}

/**
 * One round; `giveUpSilent` false leaves silent attempts alone. What needs no store comes first, and a video
 * that cannot be recovered (its result cannot be read, say) does not keep the others from it. Throws when the
 * database is away.
 */
export async function reconcile(
  context: Context,
  options: { giveUpSilent: boolean; signal?: AbortSignal },
): Promise<void> {
  const { leaseMs, cancelAnswerMs } = context.config.timings
  const due = await context.db.query<DueRow>({
    name: 'reconcile-due',
    text: `
      (select id as video_id, fence, 'cancel_unanswered' as reason from video
        where status = 'running' and cancel_requested_at < now() - make_interval(secs => $3::float8 / 1000)
        limit $4)
      union all
      (select id, fence, 'expired' from video
        where ${IS_UNFINISHED_SQL} and execution_expires_at < now()
        order by execution_expires_at
        limit $4)
      union all
      (select video_id, fence, 'silent' from attempt
        where $1 and ended_at is null and heartbeat_at < now() - make_interval(secs => $2::float8 / 1000)
        -- so that attempts that cannot be given up yet do not fill every batch
        order by random()
        limit $4)`,
    values: [options.giveUpSilent, leaseMs, cancelAnswerMs, BATCH],
  })
  for (const row of due.rows) {
    if (options.signal?.aborted === true) return
    try {
      await recover(context, row)
    } catch (error) {
      context.log.error(
        { err: error, video: row.video_id, fence: row.fence, reason: row.reason },
        'a video cannot be recovered yet',
      )
    }
  }
}

async function recover(context: Context, { video_id, fence, reason }: DueRow): Promise<void> {
  switch (reason) {
    case 'silent':
      return giveUpAttempt(context, video_id, fence, { silentMs: context.config.timings.leaseMs })
    case 'cancel_unanswered':
      return endUnansweredCancel(context, video_id)
    case 'expired':
      return expire(context, video_id)
    default:
      reason satisfies never
  }
}

async function endUnansweredCancel(context: Context, videoId: string): Promise<void> {
  await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    if (video?.status !== 'running' || video.cancel_requested_at === null) return
    await endVideo(db, video, unansweredCancelEnd(video, video.step), context.systemAccounts)
  })
  context.wakeGate()
}

async function expire(context: Context, videoId: string): Promise<void> {
  await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    if (video === null || !isUnfinished(video)) return
    await endVideo(db, video, expiredEnd(), context.systemAccounts)
  })
  context.wakeGate()
}
