import type { Context } from '../context.ts'
import type { Database } from '../db/database.ts'
import type { Attempt } from '../videos/attempt.ts'
import { readAttempt } from '../videos/attempt-store.ts'
import { type LockedVideo, lockVideo } from '../videos/transition.ts'

/**
 * An attempt that lasts, its video locked, and what a change to them needs. Valid until the transaction ends.
 */
export interface LockedAttempt {
  /** The transaction that locked it. */
  db: Database
  video: LockedVideo
  attempt: Attempt
  context: Pick<Context, 'config' | 'store' | 'systemAccounts'>
}

/** Locks the video of an attempt; null unless the attempt is the video's newest and has not ended. */
export async function lockAttempt(
  context: Context,
  db: Database,
  videoId: string,
  fence: number,
): Promise<LockedAttempt | null> {
  const video = await lockVideo(db, videoId)
  if (video === null || video.fence !== fence) return null
  const attempt = await readAttempt(db, videoId, fence)
  if (attempt === null || attempt.ended_at !== null) return null
  return { db, video, attempt, context }
}
