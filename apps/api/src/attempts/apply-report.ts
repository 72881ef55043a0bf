import { NEARLY_FREE_MS, type Report, type ReportAnswer, type Verdict } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { invalidValue } from '../errors.ts'
import { type Attempt, readAttempt } from '../videos/attempt.ts'
import { lockVideo, requeueVideo, startVideo } from '../videos/transition.ts'
import { attemptPrefix, OUTPUT_FILES, type Video } from '../videos/video.ts'
import { assignmentFor } from './assignment.ts'
import { endCancelled, finishVideo } from './finish.ts'
import { retryOrFail } from './requeue-or-fail.ts'

/**
 * Ends an update whose transaction need not wait for the disk: should a crash of the database lose it, the worker's next
 * report says it again. What ends an attempt, and what moves money, always waits.
 */
const LOSABLE = `returning set_config('synchronous_commit', 'off', true)`

const STOP: ReportAnswer = { verdict: 'stop' }

/**
 * Applies one report in one transaction. Only the attempt that holds the video's fence and the claim bound to it is heard;
 * anyone else is a zombie: answered `stop`, and nothing is written. A final report that was applied before is answered
 * again, so a worker may repeat it.
 */
export async function applyReport(
  context: Context,
  keyId: string,
  videoId: string,
  fence: number,
  report: Report,
): Promise<ReportAnswer> {
  const { answer, freesSlot } = await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    const attempt = video === null ? null : await readAttempt(db, videoId, fence)
    if (video === null || attempt === null) return { answer: STOP, freesSlot: false }
    if (!(await holdsClaim(db, video, attempt, keyId, report))) return { answer: STOP, freesSlot: false }
    return apply(context, db, video, attempt, report)
  })
  if (freesSlot) context.wakeGate()
  return answer
}

/** Compare-and-set on (fence, claim): the first report binds its claim, worker and key; later ones must carry all three. */
async function holdsClaim(
  db: Database,
  video: Video,
  attempt: Attempt,
  keyId: string,
  report: Report,
): Promise<boolean> {
  if (video.fence !== attempt.fence || attempt.ended_at !== null) return false
  if (attempt.claim !== null) {
    return attempt.claim === report.claim && attempt.worker_id === report.worker && attempt.key_id === keyId
  }
  await db.query({
    name: 'attempt-bind',
    text: `update attempt set claim = $3, worker_id = $4, key_id = $5, taken_at = now(), heartbeat_at = now(),
      devices = (select devices_per_slot from worker where id = $4) where video_id = $1 and fence = $2`,
    values: [video.id, attempt.fence, report.claim, report.worker, keyId],
  })
  attempt.claim = report.claim
  return true
}

async function apply(
  context: Context,
  db: Database,
  video: Video,
  attempt: Attempt,
  report: Report,
): Promise<{ answer: ReportAnswer; freesSlot: boolean }> {
  const goOn = (freesSlot = false) => ({ answer: { verdict: verdictFor(video) }, freesSlot })
  switch (report.type) {
    case 'taken':
      await db.query({
        name: 'attempt-taken',
        text: `update attempt set slot = $3, heartbeat_at = now() where video_id = $1 and fence = $2 ${LOSABLE}`,
        values: [video.id, attempt.fence, report.slot],
      })
      return {
        answer: {
          verdict: verdictFor(video),
          assignment: await assignmentFor(context.store, video, report.claim),
        },
        freesSlot: false,
      }
    case 'started':
      await markRunning(db, video, attempt)
      return goOn()
    case 'progress':
      await markRunning(db, video, attempt)
      await db.query({
        name: 'attempt-progress',
        text: `with v as (update video set step = least(greatest(step, $3), num_steps) where id = $1)
        update attempt set step = greatest(step, $6), phase = $4, heartbeat_at = now(),
          free_at = now() + make_interval(secs => $5::float8 / 1000) where video_id = $1 and fence = $2 ${LOSABLE}`,
        values: [
          video.id,
          attempt.fence,
          report.step,
          report.phase,
          report.remaining_ms,
          Math.min(report.step, video.num_steps),
        ],
      })
      return goOn(becomesNearlyFree(attempt, report.remaining_ms))
    case 'checkpoint':
      await noteStep(db, video, attempt, report.step)
      await keepCheckpoint(db, video, attempt, report.step)
      return goOn()
    case 'released':
      await db.query({
        name: 'attempt-released',
        text: `update attempt set released_at = coalesce(released_at, now()), heartbeat_at = now() where video_id = $1 and fence = $2 ${LOSABLE}`,
        values: [video.id, attempt.fence],
      })
      return goOn(true)
    case 'finished':
      requireOwnResult(attempt, report)
      await finishVideo(db, video, attempt, report.result, context.systemAccounts)
      return { answer: { verdict: 'continue' }, freesSlot: true }
    case 'failed':
      await noteStep(db, video, attempt, attempt.resumed_from_step + report.step)
      if (video.cancel_requested_at !== null)
        await endCancelled(db, video, video.step, context.systemAccounts)
      else await retryOrFail(context, db, video, attempt, report)
      return { answer: { verdict: 'continue' }, freesSlot: true }
    case 'cancelled':
      await noteStep(db, video, attempt, report.step)
      if (video.cancel_requested_at !== null)
        await endCancelled(db, video, report.step, context.systemAccounts)
      else await handBack(db, video)
      return { answer: { verdict: 'continue' }, freesSlot: true }
    case 'yielded':
      await noteStep(db, video, attempt, report.step)
      if (video.cancel_requested_at !== null)
        await endCancelled(db, video, report.step, context.systemAccounts)
      else await handBack(db, video)
      return { answer: { verdict: 'continue' }, freesSlot: true }
    default:
      return report satisfies never
  }
}

/** Throws SluiceError: the result names the files that are served and paid for, so it has to be this attempt's own. */
function requireOwnResult(attempt: Attempt, report: Extract<Report, { type: 'finished' }>): void {
  const { video, fence, claim } = report.result
  if (video !== attempt.video_id) throw invalidValue('result.video', video, attempt.video_id)
  if (fence !== attempt.fence) throw invalidValue('result.fence', fence, String(attempt.fence))
  if (claim !== report.claim) throw invalidValue('result.claim', claim, 'the claim of the report')
}

/** The gate waits for the time it was told last; it has to be rung when a slot turns out to be nearly free without that. */
function becomesNearlyFree(before: Attempt, remainingMs: number | null): boolean {
  if (remainingMs === null || remainingMs > NEARLY_FREE_MS) return false
  return before.free_at === null || before.free_at.getTime() - before.heartbeat_at.getTime() > NEARLY_FREE_MS
}

function verdictFor(video: Video): Verdict {
  if (video.cancel_requested_at !== null) return 'cancel'
  return video.yield_requested_at === null ? 'continue' : 'yield'
}

/** `started` may be lost or arrive after the first progress. */
async function markRunning(db: Database, video: Video, attempt: Attempt): Promise<void> {
  if (video.status === 'running') return
  await startVideo(db, video)
  await db.query({
    name: 'attempt-started',
    text: `update attempt set started_at = now(), heartbeat_at = now() where video_id = $1 and fence = $2 ${LOSABLE}`,
    values: [video.id, attempt.fence],
  })
}

/** How far an attempt came is what its GPU time is held against, so its last words count as well. */
async function noteStep(db: Database, video: Video, attempt: Attempt, step: number): Promise<void> {
  await db.query({
    name: 'attempt-step',
    text: 'update attempt set step = greatest(step, $3) where video_id = $1 and fence = $2',
    values: [video.id, attempt.fence, Math.min(step, video.num_steps)],
  })
}

/** A checkpoint further on than the last one is progress, so the row of failures is broken. */
async function keepCheckpoint(db: Database, video: Video, attempt: Attempt, step: number): Promise<void> {
  if (attempt.claim === null || step <= (video.checkpoint_step ?? 0) || step > video.num_steps) return
  await db.query({
    name: 'video-checkpoint',
    text: `update video set checkpoint_key = $2, checkpoint_step = $3, step = greatest(step, $3), failures_in_a_row = 0 where id = $1`,
    values: [
      video.id,
      `${attemptPrefix(video.id, attempt.fence, attempt.claim)}/${OUTPUT_FILES.checkpoint}`,
      step,
    ],
  })
}

/** A worker gave the video back of its own accord: nobody failed, and the row of failures before it is not broken. */
async function handBack(db: Database, video: Video): Promise<void> {
  await requeueVideo(db, video, {
    outcome: 'yielded',
    errorCode: null,
    errorMessage: null,
    raiseFence: false,
    failuresInARow: video.failures_in_a_row,
    dropCheckpoint: false,
  })
}
