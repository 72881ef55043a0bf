import type { DevicePace } from '@sluice/gate/pace'
import type { AttemptResult } from '@sluice/shared/attempt-contract'
import { writeResult } from '../videos/attempt-store.ts'
import { cancelledEnd, completedEnd } from '../videos/end.ts'
import { endVideo } from '../videos/transition.ts'
import { outputPrefix } from '../videos/video.ts'
import { learnPace, learnSwitch } from '../workers/learn-pace.ts'
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
  const prefix = outputPrefix(video.id, attempt.fence, result.claim)
  await endVideo(db, video, completedEnd(video, prefix), context.systemAccounts)
  await learn(locked, result)
}

/**
 * Adds what the attempt measured to the paces of its pool, unless it ran no step or its times are not known.
 * How long the device was at it is what the API saw; of that, the worker says which part were steps.
 */
async function learn({ db, video, attempt }: LockedAttempt, result: AttemptResult): Promise<void> {
  if (attempt.started_at === null || attempt.released_at === null) return
  const seenMs = attempt.released_at.getTime() - attempt.started_at.getTime()
  const pace = paceOf(result, seenMs, video.num_steps)
  const { pool, released_at: releasedAt } = attempt
  if (pace !== null) await learnPace(db, pool, video, { ...pace, releasedAt })
  const switchMs = switchMsOf(result, seenMs)
  if (switchMs > 0) await learnSwitch(db, pool, switchMs)
}

/** What a switch of models took of the time that the device was at work; 0 = there was none. */
function switchMsOf({ timings }: Pick<AttemptResult, 'timings'>, seenMs: number): number {
  return within(seenMs, (timings.load ?? 0) * 1_000)
}

/** No step and no video takes longer, or is measured. */
const PACE_MS_MAX = 86_400_000

/**
 * The pace of an attempt whose device was at work for `seenMs`: no part of it is longer than that, whatever
 * the worker's clock says. Null when it ran no step, or took no time.
 */
export function paceOf(
  { steps_run, timings }: Pick<AttemptResult, 'steps_run' | 'timings'>,
  seenMs: number,
  stepsMax: number,
): DevicePace | null {
  // A switch of models is the cost of what was served before, not of this shape.
  const switchMs = switchMsOf({ timings }, seenMs)
  const denoiseMs = within(seenMs - switchMs, (timings.denoise ?? 0) * 1_000)
  const steps = Math.min(steps_run, stepsMax)
  if (steps < 1 || denoiseMs <= 0) return null
  return {
    stepMs: within(PACE_MS_MAX, denoiseMs / steps),
    overheadMs: within(PACE_MS_MAX, seenMs - switchMs - denoiseMs),
  }
}

function within(maxMs: number, ms: number): number {
  return Math.max(0, Math.min(maxMs, ms))
}
