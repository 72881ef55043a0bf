import type { Video } from './video.ts'

/** Why an attempt ended without ending its video. Written by `requeueVideo`. */
export interface Requeue {
  outcome: 'failed' | 'yielded' | 'lost'
  errorCode: string | null
  errorMessage: string | null
  /** Raised when the attempt's worker may still be alive: from then on it is a zombie. */
  raiseFence: boolean
  failuresInARow: number
  /** The checkpoint turned out to be useless: start from the first step. */
  dropCheckpoint: boolean
}

/** The worker gave the video back of its own accord: no failure, and no progress, so the count stays. */
export function yieldedRequeue(video: Pick<Video, 'failures_in_a_row'>): Requeue {
  return {
    outcome: 'yielded',
    errorCode: null,
    errorMessage: null,
    raiseFence: false,
    failuresInARow: video.failures_in_a_row,
    dropCheckpoint: false,
  }
}

/** The queue did not say that it took the job. It may have it all the same, so the fence is raised. */
export function undeliveredRequeue(video: Pick<Video, 'failures_in_a_row'>): Requeue {
  return { ...yieldedRequeue(video), outcome: 'lost', errorCode: 'queue_unavailable', raiseFence: true }
}

/** No worker took it, which says nothing about the video. One may take it yet: the fence is raised. */
export function untakenRequeue(video: Pick<Video, 'failures_in_a_row'>): Requeue {
  const error = { code: 'worker_lost', message: 'No worker took it in time.' }
  return lostRequeue(error, video.failures_in_a_row)
}

/** The attempt reported a failure. */
export function failedRequeue(error: { code: string; message: string }, failuresInARow: number): Requeue {
  return {
    outcome: 'failed',
    errorCode: error.code,
    errorMessage: error.message,
    raiseFence: false,
    failuresInARow,
    dropCheckpoint: error.code === 'checkpoint_unusable',
  }
}

/** The attempt's worker, if it had one, fell silent; it may still be alive. */
export function lostRequeue(error: { code: string; message: string }, failuresInARow: number): Requeue {
  return { ...failedRequeue(error, failuresInARow), outcome: 'lost', raiseFence: true }
}
