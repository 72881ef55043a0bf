import type { FailureCode } from '@sluice/shared/attempt-contract'
import { failedEnd, lostEnd } from '../videos/end.ts'
import { failedRequeue, lostRequeue } from '../videos/requeue.ts'
import { endVideo, requeueVideo } from '../videos/transition.ts'
import type { LockedAttempt } from './locked-attempt.ts'

/** Why an attempt failed, as its worker reports it, or `worker_lost` when the worker fell silent. */
export interface Failure {
  code: FailureCode | 'worker_lost'
  message: string
  retryable: boolean
}

/**
 * After a failed or lost attempt the video returns to the gate, or fails for good: at once when another
 * attempt would not help, else when `attemptsMax` attempts in a row failed or were lost. Nothing is charged.
 */
export async function requeueOrFail(locked: LockedAttempt, failure: Failure): Promise<void> {
  const { db, video, attempt, context } = locked
  const isLost = failure.code === 'worker_lost'
  // A dispatch that nobody took says nothing about the video.
  const failures = video.failures_in_a_row + (attempt.claim === null ? 0 : 1)
  if (failure.retryable && failures < context.config.attemptsMax) {
    await requeueVideo(db, video, isLost ? lostRequeue(failure, failures) : failedRequeue(failure, failures))
    return
  }
  const { code, message } = failure
  const error = failure.retryable
    ? {
        code: 'attempts_exhausted',
        message: `Gave up after ${failures} attempts in a row; the last one: ${code}: ${message}`,
      }
    : { code, message }
  await endVideo(db, video, isLost ? lostEnd(error) : failedEnd(error), context.systemAccounts)
}
