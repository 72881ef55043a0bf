import { NEARLY_FREE_MS, type Report, type ReportAnswer } from '@sluice/shared/attempt-contract'
import { within } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context, GateNews } from '../context.ts'
import { transaction } from '../db/database.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import type { Attempt } from '../videos/attempt.ts'
import {
  bindClaim,
  readAttempt,
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
import { bootOfClaimant } from '../workers/claimant.ts'
import { assignmentFor, signUploads } from './assignment.ts'
import { finishVideo } from './finish.ts'
import { type LockedAttempt, lockAttempt } from './locked-attempt.ts'
import { type Failure, requeueOrFail } from './requeue-or-fail.ts'
import { keepFiles } from './stored-files.ts'
import { verdictOf } from './verdict.ts'

/** A report, on which attempt, and the worker token it came with. */
export interface SentReport {
  keyId: string
  videoId: string
  fence: number
  report: Report
}

interface Applied {
  /** Thrown once what was written is committed, when it is an error. */
  answer: ReportAnswer | SluiceError
  /** The gate may give the attempt's slot away. */
  freesSlot: boolean
}

const REFUSED: Applied = { answer: { verdict: 'stop' }, freesSlot: false }
const ENDED: Applied = { answer: { verdict: 'continue' }, freesSlot: true }

/**
 * Applies one report in one transaction; report-groups.ts applies many. Only the newest attempt of a video is
 * heard, and only with the claim bound to it; anyone else is a zombie: answered `stop`, and nothing is
 * written. So is a final report that was applied before, which makes it safe to repeat. Throws SluiceError:
 * for a result of another attempt, for one whose files are not in the store (its attempt then has failed),
 * for a worker that was not heard of lately, and `unavailable` while the store is away that must be asked.
 */
export async function applyReport(context: Context, sent: SentReport): Promise<ReportAnswer> {
  const files = await lookAtFiles(context, sent)
  const { answer, freesSlot } = await transaction(context.db, async (db) => {
    const locked = await lockAttempt(context, db, sent.videoId, sent.fence)
    if (locked === null || !(await acceptsClaim(locked, sent))) return REFUSED
    return apply(locked, sent.report, files)
  })
  if (freesSlot) context.wakeGate(newsOf(sent, answer))
  if (answer instanceof SluiceError) throw answer
  return answer
}

/** What the gate is to know of a report that freed a slot; undefined when the video may be queued again. */
function newsOf({ videoId, fence, report }: SentReport, answer: Applied['answer']): GateNews | undefined {
  if (answer instanceof SluiceError) return undefined
  switch (report.type) {
    case 'released':
    case 'finished':
      return { freed: [{ videoId, fence, inMs: 0 }] }
    case 'progress':
      // Not free yet, whatever is left: the device is given back by `released` alone.
      return { freed: [{ videoId, fence, inMs: Math.max(1, report.remaining_ms ?? 0) }] }
    default:
      return undefined
  }
}

/** What was seen of the files that a finished attempt names. */
type SeenFiles = { problem: string | null } | 'not looked at'

/**
 * Looks at the files of a finished attempt, and keeps them; not for other reports, and not for one that will
 * be answered `stop`. Asks the store, so it is no part of the transaction.
 */
async function lookAtFiles(context: Context, sent: SentReport): Promise<SeenFiles> {
  const { videoId, fence, report } = sent
  if (report.type !== 'finished') return 'not looked at'
  const attempt = await readAttempt(context.db, videoId, fence)
  if (attempt === null || attempt.ended_at !== null) return 'not looked at'
  if (attempt.claim !== null && attempt.claim !== report.claim) return 'not looked at'
  requireOwnResult(attempt, report)
  const { storeMs } = TIME_LIMITS.workerReport
  const tooLate = () => new Error(`the store did not answer within ${storeMs} ms`)
  try {
    return { problem: await within(storeMs, keepFiles(context.store, report.result), tooLate) }
  } catch (error) {
    context.log.warn(
      { err: error, video: videoId, fence },
      'the files of a finished video cannot be looked at',
    )
    throw storeAway()
  }
}

function storeAway(): SluiceError {
  return new SluiceError('unavailable', 'The store cannot be asked for the files of this video: try again.')
}

/**
 * The first report binds its claim, worker and key to the attempt, if the worker is known to serve its pool;
 * later ones must carry all three.
 */
async function acceptsClaim(
  { db, video, attempt, context }: LockedAttempt,
  { keyId, report: { claim, worker: workerId } }: SentReport,
): Promise<boolean> {
  if (attempt.claim !== null)
    return attempt.claim === claim && attempt.worker_id === workerId && attempt.key_id === keyId
  const { leaseMs } = context.config.timings
  const boot = await bootOfClaimant(db, attempt.pool, { workerId, keyId }, leaseMs)
  if (boot === null) return false
  await bindClaim(db, video, attempt, { claim, workerId, keyId, boot })
  return true
}

async function apply(locked: LockedAttempt, report: Report, files: SeenFiles): Promise<Applied> {
  const { db, video, attempt, context } = locked
  const verdict = verdictOf(video)
  switch (report.type) {
    case 'taken': {
      await writeSlot(db, video, report.slot)
      const start = { videoId: video.id, fence: video.fence, claim: report.claim }
      const uploads = await signUploads(context.store, start)
      const assignment = await assignmentFor(context.store, video, uploads)
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
    case 'finished': {
      requireOwnResult(attempt, report)
      // Its attempt was not there yet when it was looked up; at the next try it is.
      if (files === 'not looked at') throw storeAway()
      const { problem } = files
      if (problem === null) {
        await finishVideo(locked, report.result)
        return ENDED
      }
      await fail(locked, { code: 'bad_output', message: problem, retryable: true })
      return { ...ENDED, answer: new SluiceError('invalid_value', `The video is not stored: ${problem}.`) }
    }
    case 'failed':
      await writeStep(db, video, attempt.resumed_from_step + report.step)
      await fail(locked, report)
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

async function fail(locked: LockedAttempt, failure: Failure): Promise<void> {
  const { db, video, context } = locked
  if (video.cancel_requested_at !== null)
    await endVideo(db, video, cancelledEnd(video, video.step), context.systemAccounts)
  else await requeueOrFail(locked, failure)
}

/** Throws SluiceError for another attempt's result: it names the files that are served and paid for. */
function requireOwnResult(attempt: Attempt, report: Extract<Report, { type: 'finished' }>): void {
  const { video, fence, claim } = report.result
  if (video !== attempt.video_id) throw invalidValue('result.video', video, attempt.video_id)
  if (fence !== attempt.fence) throw invalidValue('result.fence', fence, String(attempt.fence))
  if (claim !== report.claim) throw invalidValue('result.claim', claim, 'the claim of the report')
}

/** Whether to wake the gate: the slot is nearly free, and the time it waits for, reported last, was later. */
export function becomesNearlyFree(
  before: Pick<Attempt, 'free_at' | 'heartbeat_at'>,
  remainingMs: number | null,
): boolean {
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
