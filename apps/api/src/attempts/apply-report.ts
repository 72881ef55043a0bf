import { NEARLY_FREE_MS, type Report, type ReportAnswer } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { invalidValue } from '../errors.ts'
import type { Attempt } from '../videos/attempt.ts'
import {
  bindClaim,
  writeProgress,
  writeRelease,
  writeSlot,
  writeStart,
  writeStep,
} from '../videos/attempt-store.ts'
import { cancelledEnd } from '../videos/end.ts'
import { yieldedRequeue } from '../videos/requeue.ts'
import { endVideo, requeueVideo, startVideo } from '../videos/transition.ts'
import { attemptPrefix, OUTPUT_FILES } from '../videos/video.ts'
import { writeCheckpoint } from '../videos/video-store.ts'
import { assignmentFor } from './assignment.ts'
import { finishVideo } from './finish.ts'
import { type LockedAttempt, lockAttempt } from './locked-attempt.ts'
import { requeueOrFail } from './requeue-or-fail.ts'
import { verdictOf } from './verdict.ts'

/** A report, on which attempt, and the worker token it came with. */
export interface SentReport {
  keyId: string
  videoId: string
  fence: number
  report: Report
}

interface Applied {
  answer: ReportAnswer
  /** The gate may give the attempt's slot away. */
  freesSlot: boolean
}

const REFUSED: Applied = { answer: { verdict: 'stop' }, freesSlot: false }
const ENDED: Applied = { answer: { verdict: 'continue' }, freesSlot: true }

/**
 * Applies one report in one transaction. Only the newest attempt of a video is heard, and only with the claim
 * bound to it; anyone else is a zombie: answered `stop`, and nothing is written. So is a final report that
 * was applied before, which makes it safe to repeat. Throws SluiceError for a result of another attempt.
 */
export async function applyReport(context: Context, sent: SentReport): Promise<ReportAnswer> {
  const { answer, freesSlot } = await transaction(context.db, async (db) => {
    const locked = await lockAttempt(context, db, sent.videoId, sent.fence)
    if (locked === null || !(await acceptsClaim(locked, sent))) return REFUSED
    return apply(locked, sent.report)
  })
  if (freesSlot) context.wakeGate()
  return answer
}

/** The first report binds its claim, worker and key to the attempt; later ones must carry all three. */
async function acceptsClaim(
  { db, video, attempt }: LockedAttempt,
  { keyId, report: { claim, worker: workerId } }: SentReport,
): Promise<boolean> {
  if (attempt.claim !== null)
    return attempt.claim === claim && attempt.worker_id === workerId && attempt.key_id === keyId
  await bindClaim(db, video, attempt, { claim, workerId, keyId })
  return true
}

async function apply(locked: LockedAttempt, report: Report): Promise<Applied> {
  const { db, video, attempt, context } = locked
  const verdict = verdictOf(video)
  switch (report.type) {
    case 'taken': {
      await writeSlot(db, video, report.slot)
      const assignment = await assignmentFor(context.store, video, report.claim)
      return { answer: { verdict, assignment }, freesSlot: false }
    }
    case 'started':
      await markRunning(locked)
      return { answer: { verdict }, freesSlot: false }
    case 'progress': {
      await markRunning(locked)
      const { step, phase, remaining_ms: remainingMs } = report
      await writeProgress(db, video, { step, phase, remainingMs })
      return { answer: { verdict }, freesSlot: becomesNearlyFree(attempt, remainingMs) }
    }
    case 'checkpoint':
      await writeStep(db, video, report.step)
      await keepCheckpoint(locked, report.step)
      return { answer: { verdict }, freesSlot: false }
    case 'released':
      await writeRelease(db, video)
      return { answer: { verdict }, freesSlot: true }
    case 'finished':
      requireOwnResult(attempt, report)
      await finishVideo(locked, report.result)
      return ENDED
    case 'failed':
      await writeStep(db, video, attempt.resumed_from_step + report.step)
      if (video.cancel_requested_at !== null)
        await endVideo(db, video, cancelledEnd(video, video.step), context.systemAccounts)
      else await requeueOrFail(locked, report)
      return ENDED
    case 'cancelled':
    case 'yielded':
      await writeStep(db, video, report.step)
      if (video.cancel_requested_at !== null)
        await endVideo(db, video, cancelledEnd(video, report.step), context.systemAccounts)
      else await requeueVideo(db, video, yieldedRequeue(video))
      return ENDED
    default:
      return report satisfies never
  }
}

/** Throws SluiceError for another attempt's result: it names the files that are served and paid for. */
function requireOwnResult(attempt: Attempt, report: Extract<Report, { type: 'finished' }>): void {
  const { video, fence, claim } = report.result
  if (video !== attempt.video_id) throw invalidValue('result.video', video, attempt.video_id)
  if (fence !== attempt.fence) throw invalidValue('result.fence', fence, String(attempt.fence))
  if (claim !== report.claim) throw invalidValue('result.claim', claim, 'the claim of the report')
}

/** Whether to wake the gate: the slot is nearly free, and the time it waits for, reported last, was later. */
function becomesNearlyFree(before: Attempt, remainingMs: number | null): boolean {
  if (remainingMs === null || remainingMs > NEARLY_FREE_MS) return false
  return before.free_at === null || before.free_at.getTime() - before.heartbeat_at.getTime() > NEARLY_FREE_MS
}

/** Called for progress too: `started` may be lost, or arrive after it. */
async function markRunning({ db, video }: LockedAttempt): Promise<void> {
  if (video.status === 'running') return
  await startVideo(db, video)
  await writeStart(db, video)
}

/** Only a checkpoint further on than the last one counts. */
async function keepCheckpoint({ db, video, attempt }: LockedAttempt, step: number): Promise<void> {
  if (attempt.claim === null || step <= (video.checkpoint_step ?? 0) || step > video.num_steps) return
  const prefix = attemptPrefix(video.id, attempt.fence, attempt.claim)
  await writeCheckpoint(db, video, { key: `${prefix}/${OUTPUT_FILES.checkpoint}`, step })
}
