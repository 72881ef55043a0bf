import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { unansweredCancelEnd } from './end.ts'
import { endVideo, lockVideo } from './transition.ts'
import type { Video } from './video.ts'
import { notFound, requestCancel } from './video-store.ts'

/**
 * Cancels an account's video. Queued or dispatched: it ends at once and nothing is charged. Running: its
 * worker hears of it with the next answer (within a second), and at most the steps done by now, plus the one
 * under way, are charged. Cancelling a cancelled video changes nothing. Returns the video as it then is.
 * Throws SluiceError when it is unknown or has ended otherwise.
 */
export async function cancelVideo(context: Context, accountId: string, videoId: string): Promise<Video> {
  const cancelled = await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    if (video === null || video.account_id !== accountId || video.deleted_at !== null) throw notFound()
    switch (video.status) {
      case 'queued':
      case 'dispatched':
        await endVideo(db, video, unansweredCancelEnd(video, 0), context.systemAccounts)
        break
      case 'running':
        await requestCancel(db, video)
        break
      case 'cancelled':
        break
      case 'completed':
      case 'failed':
        throw new SluiceError(
          'state_conflict',
          `The video is ${video.status}: only a queued or running video can be cancelled.`,
        )
      default:
        video.status satisfies never
    }
    return lockVideo(db, videoId)
  })
  if (cancelled === null) throw notFound()
  context.wakeGate()
  return cancelled
}
