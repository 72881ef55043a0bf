import type { Video } from './video.ts'

/** How a video ends, and how many of its steps are charged. Written by `endVideo`. */
export interface VideoEnd {
  status: 'completed' | 'failed' | 'cancelled'
  chargedSteps: number
  errorCode: string | null
  errorMessage: string | null
  /** Where its files lie; null unless completed. */
  outputPrefix: string | null
  attemptOutcome: 'completed' | 'failed' | 'cancelled' | 'lost'
  /** Raised when the attempt's worker may still be alive: from then on it is a zombie. */
  raiseFence: boolean
}

/** An error as the video's owner reads it. */
export interface VideoError {
  code: string
  message: string
}

/** Completed: every step is charged. */
export function completedEnd(video: Pick<Video, 'num_steps'>, outputPrefix: string): VideoEnd {
  return {
    status: 'completed',
    chargedSteps: video.num_steps,
    errorCode: null,
    errorMessage: null,
    outputPrefix,
    attemptOutcome: 'completed',
    raiseFence: false,
  }
}

/** Cancelled: the steps done are charged, at most those known when the cancel was requested, plus one. */
export function cancelledEnd(video: Pick<Video, 'num_steps' | 'cancel_step'>, stepsDone: number): VideoEnd {
  return {
    status: 'cancelled',
    chargedSteps: Math.min(stepsDone, (video.cancel_step ?? 0) + 1, video.num_steps),
    errorCode: 'cancelled',
    errorMessage: 'The video was cancelled.',
    outputPrefix: null,
    attemptOutcome: 'cancelled',
    raiseFence: false,
  }
}

/** Cancelled without a word from its worker, which may still work on it. Charged like `cancelledEnd`. */
export function unansweredCancelEnd(
  video: Pick<Video, 'num_steps' | 'cancel_step'>,
  stepsDone: number,
): VideoEnd {
  return { ...cancelledEnd(video, stepsDone), raiseFence: true }
}

/** Failed, as its attempt reported: nothing is charged. */
export function failedEnd(error: VideoError): VideoEnd {
  return {
    status: 'failed',
    chargedSteps: 0,
    errorCode: error.code,
    errorMessage: error.message,
    outputPrefix: null,
    attemptOutcome: 'failed',
    raiseFence: false,
  }
}

/** Failed while its attempt's worker, if it had one, may still work on it: nothing is charged. */
export function lostEnd(error: VideoError): VideoEnd {
  return { ...failedEnd(error), attemptOutcome: 'lost', raiseFence: true }
}

/** Failed because `execution_expires_after` has passed: nothing is charged. */
export function expiredEnd(): VideoEnd {
  return lostEnd({ code: 'expired', message: 'The video was not finished within execution_expires_after.' })
}
