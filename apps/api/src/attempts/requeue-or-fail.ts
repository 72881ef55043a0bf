import type { FailureCode } from '@sluice/shared/attempt-contract'
import { one } from '../db/database.ts'
import { failedEnd, lostEnd, type VideoError } from '../videos/end.ts'
import { failedRequeue, lostRequeue } from '../videos/requeue.ts'
import { endVideo, requeueVideo } from '../videos/transition.ts'
import type { LockedAttempt } from './locked-attempt.ts'
import { lossMessage, mayBeItsDoing, readLoss } from './loss.ts'
import { failedAnotherBefore } from './worker-record.ts'

/** Why an attempt failed, as its worker reports it. */
export interface Failure {
  code: FailureCode
  message: string
  retryable: boolean
}

/**
 * Attempts without any progress that a video gets for each one that may count against it: also a video that
 * brings down whole hosts, others with it, ends one day.
 */
const IDLE_ATTEMPTS_FACTOR = 10

/**
 * After a failed attempt the video returns to the gate, or fails for good: at once when another attempt
 * would not help, else when `attemptsMax` attempts in a row failed by what may be its own doing. Nothing is
 * charged.
 */
export async function requeueOrFail(locked: LockedAttempt, failure: Failure): Promise<void> {
  const { db, video, context } = locked
  const { failures, exhausted } = await countFailure(locked, await mayBeBlamed(locked, failure), failure)
  if (failure.retryable && exhausted === null)
    return requeueVideo(db, video, failedRequeue(failure, failures))
  await endVideo(db, video, failedEnd(exhausted ?? failure), context.systemAccounts)
}

/** The same after an attempt that nobody reports on any more: its worker may still be alive. */
export async function requeueOrFailLost(locked: LockedAttempt): Promise<void> {
  const { db, video, context } = locked
  const loss = await readLoss(locked)
  const failure = { code: 'worker_lost', message: lossMessage(loss) }
  const { failures, exhausted } = await countFailure(locked, mayBeItsDoing(loss), failure)
  if (exhausted === null) return requeueVideo(db, video, lostRequeue(failure, failures))
  await endVideo(db, video, lostEnd(exhausted), context.systemAccounts)
}

/**
 * Whether a failure that a worker reports may be the video's doing. A store that took no upload is not, nor a
 * host with a full disk, nor an engine that is away, nor a worker on which one video after the other fails;
 * and what a worker says of its earlier process, which died with its runner, is judged as if it had said
 * nothing.
 */
async function mayBeBlamed(locked: LockedAttempt, { code, retryable }: Failure): Promise<boolean> {
  if (code === 'upload_failed' || code === 'host_failed' || code === 'engine_away') return false
  if (retryable && (await failedAnotherBefore(locked))) return false
  const loss = await readLoss(locked)
  return !loss.hasRestarted || !loss.isOnDevice || mayBeItsDoing(loss)
}

/**
 * The failures in a row with this one, and the error the video ends with when they are enough. Without blame
 * the row stays as it is, and only the attempts since the last progress have a bound.
 */
async function countFailure(
  { db, video, context }: LockedAttempt,
  isBlamed: boolean,
  last: VideoError,
): Promise<{ failures: number; exhausted: VideoError | null }> {
  const failures = video.failures_in_a_row + (isBlamed ? 1 : 0)
  const { attemptsMax } = context.config
  const exhaustedBy = (count: number, what: string) => ({
    code: 'attempts_exhausted',
    message: `Gave up after ${count} ${what}; the last one: ${last.code}: ${last.message}`,
  })
  if (failures >= attemptsMax && isBlamed)
    return { failures, exhausted: exhaustedBy(failures, 'attempts in a row') }
  const idle = one(
    await db.query<{ attempts: bigint }>({
      name: 'attempts-without-progress',
      text: `
        select count(*) as attempts from attempt
        where video_id = $1 and claim is not null and resumed_from_step >= $2
          and (ended_at is null or outcome in ('lost', 'failed'))
          and error_code is distinct from 'engine_away'`,
      values: [video.id, video.checkpoint_step ?? 0],
    }),
  )
  if (idle.attempts < attemptsMax * IDLE_ATTEMPTS_FACTOR) return { failures, exhausted: null }
  return { failures, exhausted: exhaustedBy(Number(idle.attempts), 'attempts without progress') }
}
