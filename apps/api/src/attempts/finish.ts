import type { AttemptResult } from '@sluice/shared/attempt-contract'
import { writeResult } from '../videos/attempt-store.ts'
import { cancelledEnd, completedEnd } from '../videos/end.ts'
import { endVideo } from '../videos/transition.ts'
import { attemptPrefix } from '../videos/video.ts'
import { learnPace } from '../workers/pace.ts'
import type { LockedAttempt } from './locked-attempt.ts'

/**
 * Completes the video of a finished attempt: every generated token is charged. When its cancel was requested,
 * the cancel wins, and only the steps known then (plus the one under way) are charged.
 */
export async function finishVideo(locked: LockedAttempt, result: AttemptResult): Promise<void> {
  const { db, video, attempt, context } = locked
  await writeResult(db, video, result)
  if (video.cancel_requested_at !== null) {
    await endVideo(db, video, cancelledEnd(video, video.num_steps), context.systemAccounts)
    return
  }
  const prefix = attemptPrefix(video.id, attempt.fence, result.claim)
  await endVideo(db, video, completedEnd(video, prefix), context.systemAccounts)
  await learn(locked, result)
}

/**
 * Adds what the attempt measured to the pace of its pool, unless it ran no step or its times are not known.
 */
async function learn({ db, video, attempt }: LockedAttempt, result: AttemptResult): Promise<void> {
  const denoiseMs = (result.timings.denoise ?? 0) * 1_000
  if (result.steps_run < 1 || denoiseMs <= 0) return
  if (attempt.started_at === null || attempt.released_at === null) return
  // A switch of models is the cost of what was served before, not of this shape.
  const switchMs = (result.timings.load ?? 0) * 1_000
  const deviceMs = attempt.released_at.getTime() - attempt.started_at.getTime() - switchMs
  await learnPace(db, attempt.pool, video, {
    stepMs: denoiseMs / result.steps_run,
    overheadMs: Math.max(0, deviceMs - denoiseMs),
  })
}
