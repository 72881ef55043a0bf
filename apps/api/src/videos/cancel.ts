import { isId } from '@sluice/shared/ids'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { unansweredCancelEnd } from './end.ts'
import { endVideo, type LockedVideo, lockVideo } from './transition.ts'
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
    const video = await lockOwnVideo(db, accountId, videoId)
    if (video.status === 'completed' || video.status === 'failed')
      throw new SluiceError(
        'state_conflict',
        `The video is ${video.status}: only a queued or running video can be cancelled.`,
      )
    await cancelUnfinished(context, db, video)
    return lockVideo(db, videoId)
  })
  if (cancelled === null) throw notFound()
  context.wakeGate()
  return cancelled
}

/** As lockVideo, for its owner. Throws SluiceError `not_found`. */
export async function lockOwnVideo(db: Database, accountId: string, videoId: string): Promise<LockedVideo> {
  const video = isId('video', videoId) ? await lockVideo(db, videoId) : null
  if (video === null || video.account_id !== accountId || video.deleted_at !== null) throw notFound()
  return video
}

/** Cancels a video as `cancelVideo` says. One that has ended stays as it is. */
export async function cancelUnfinished(
  context: Pick<Context, 'systemAccounts'>,
  db: Database,
  video: LockedVideo,
): Promise<void> {
  switch (video.status) {
    case 'queued':
    case 'dispatched':
      return endVideo(db, video, unansweredCancelEnd(video, 0), context.systemAccounts)
    case 'running':
      return requestCancel(db, video)
    case 'completed':
    case 'failed':
    case 'cancelled':
      return
    default:
      video.status satisfies never
  }
}
