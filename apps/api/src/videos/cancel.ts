import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { endVideo, lockVideo } from './transition.ts'
import type { Video } from './video.ts'

/**
 * Cancels an account's video. Queued or dispatched: over at once, nothing charged. Running: asked for; the worker hears it
 * with its next answer (a second at most), and the steps done by now, plus the one under way, are the most that is charged.
 * Cancelling twice, or a cancelled video, answers the video as it stands. Throws SluiceError when it is unknown or ended
 * otherwise.
 */
export async function cancelVideo(context: Context, accountId: string, videoId: string): Promise<Video> {
  const video = await transaction(context.db, async (db) => {
    const locked = await lockVideo(db, videoId)
    if (locked === null || locked.account_id !== accountId || locked.deleted_at !== null) throw notFound()
    switch (locked.status) {
      case 'queued':
      case 'dispatched':
        await endVideo(
          db,
          locked,
          {
            status: 'cancelled',
            chargedSteps: 0,
            errorCode: 'cancelled',
            errorMessage: 'The video was cancelled.',
            outputPrefix: null,
            attemptOutcome: 'cancelled',
            raiseFence: true,
          },
          context.systemAccounts,
        )
        break
      case 'running':
        await db.query({
          text: `update video set cancel_requested_at = now(), cancel_step = step where id = $1 and cancel_requested_at is null`,
          values: [videoId],
        })
        break
      case 'cancelled':
        break
      case 'completed':
      case 'failed':
        throw new SluiceError(
          'state_conflict',
          `The video is ${locked.status}: only a queued or running video can be cancelled.`,
        )
      default:
        locked.status satisfies never
    }
    return lockVideo(db, videoId)
  })
  if (video === null) throw notFound()
  context.wakeGate()
  return video
}

/** The one answer for an unknown id, a malformed one and another tenant's. */
export function notFound(): SluiceError {
  return new SluiceError('not_found', 'No such video.', 'video_id')
}
