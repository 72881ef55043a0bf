import type { AttemptResult } from '@sluice/shared/attempt-contract'
import type { Database } from '../db/database.ts'
import type { SystemAccounts } from '../ledger/accounts.ts'
import type { Attempt } from '../videos/attempt.ts'
import { endVideo } from '../videos/transition.ts'
import { attemptPrefix, type Video } from '../videos/video.ts'
import { learnPace } from '../workers/pace.ts'

/**
 * Takes a finished attempt in: the video is completed and every generated token charged. When its cancel had been asked
 * for, the cancel wins, and only the steps done by then (plus the one under way) are charged.
 */
export async function finishVideo(
  db: Database,
  video: Video,
  attempt: Attempt,
  result: AttemptResult,
  system: SystemAccounts,
): Promise<void> {
  await db.query({
    name: 'attempt-result',
    text: 'update attempt set result = $3, step = $4 where video_id = $1 and fence = $2',
    values: [video.id, attempt.fence, result, video.num_steps],
  })
  if (video.cancel_requested_at !== null) {
    await endCancelled(db, video, video.num_steps, system)
    return
  }
  await endVideo(
    db,
    video,
    {
      status: 'completed',
      chargedSteps: video.num_steps,
      errorCode: null,
      errorMessage: null,
      outputPrefix: attemptPrefix(video.id, attempt.fence, result.claim),
      attemptOutcome: 'completed',
      raiseFence: false,
    },
    system,
  )
  await learn(db, video, attempt, result)
}

/** Ends a running video as cancelled: charged for the steps done, at most those known when it was asked for, plus one. */
export async function endCancelled(
  db: Database,
  video: Video,
  stepsDone: number,
  system: SystemAccounts,
  raiseFence = false,
): Promise<void> {
  await endVideo(
    db,
    video,
    {
      status: 'cancelled',
      chargedSteps: Math.min(stepsDone, (video.cancel_step ?? 0) + 1, video.num_steps),
      errorCode: 'cancelled',
      errorMessage: 'The video was cancelled.',
      outputPrefix: null,
      attemptOutcome: 'cancelled',
      raiseFence,
    },
    system,
  )
}

async function learn(db: Database, video: Video, attempt: Attempt, result: AttemptResult): Promise<void> {
  const denoiseMs = (result.timings.denoise ?? 0) * 1_000
  if (result.steps_run < 1 || denoiseMs <= 0 || attempt.started_at === null || attempt.released_at === null)
    return
  // A switch of models is the cost of what was served before, not of this shape.
  const switchMs = (result.timings.load ?? 0) * 1_000
  const deviceMs = attempt.released_at.getTime() - attempt.started_at.getTime() - switchMs
  await learnPace(db, attempt.pool, video, {
    stepMs: denoiseMs / result.steps_run,
    overheadMs: Math.max(0, deviceMs - denoiseMs),
  })
}
