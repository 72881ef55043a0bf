import type { FailureCode } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import type { Database } from '../db/database.ts'
import type { Attempt } from '../videos/attempt.ts'
import { endVideo, requeueVideo } from '../videos/transition.ts'
import type { Video } from '../videos/video.ts'

/** Why an attempt did not make it. `worker_lost` is the reconciler's word for silence. */
export interface Failure {
  code: FailureCode | 'worker_lost'
  message: string
  retryable: boolean
}

/**
 * After a failed or lost attempt the video returns to the gate, or fails for good: at once when trying again would not
 * help, else when it ended `attemptsMax` workers or runners in a row. Nothing is charged.
 */
export async function retryOrFail(
  context: Context,
  db: Database,
  video: Video,
  attempt: Attempt,
  failure: Failure,
): Promise<void> {
  const isLost = failure.code === 'worker_lost'
  // A dispatch nobody took says nothing about the video.
  const failures = video.failures_in_a_row + (attempt.claim === null ? 0 : 1)
  const isExhausted = failures >= context.config.attemptsMax
  if (failure.retryable && !isExhausted) {
    await requeueVideo(db, video, {
      outcome: isLost ? 'lost' : 'failed',
      errorCode: failure.code,
      errorMessage: failure.message,
      raiseFence: isLost,
      failuresInARow: failures,
      dropCheckpoint: failure.code === 'checkpoint_unusable',
    })
    return
  }
  await endVideo(
    db,
    video,
    {
      status: 'failed',
      chargedSteps: 0,
      errorCode: failure.retryable ? 'attempts_exhausted' : failure.code,
      errorMessage: failure.retryable
        ? `Gave up after ${failures} attempts in a row; the last one: ${failure.code}: ${failure.message}`
        : failure.message,
      outputPrefix: null,
      attemptOutcome: isLost ? 'lost' : 'failed',
      raiseFence: isLost,
    },
    context.systemAccounts,
  )
}
