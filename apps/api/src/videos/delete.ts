import type { Context } from '../context.ts'
import { inputPrefix } from '../inputs/input-store.ts'
import { cancelVideo } from './cancel.ts'
import { isUnfinished, videoPrefix } from './video.ts'
import { markDeleted, readVideo, wasDeleted } from './video-store.ts'

/**
 * Deletes a video for its owner: an unfinished one is cancelled first, its files are removed, its ledger rows
 * stay. What a worker that has not heard of it still writes is removed by the sweep. A repeat (`isRepeat`:
 * the caller may have deleted it before without seeing the answer) of a delete that was done is no error.
 * Throws SluiceError `not_found`.
 */
export async function deleteVideo(
  context: Context,
  accountId: string,
  videoId: string,
  { isRepeat }: { isRepeat: boolean },
): Promise<void> {
  if (isRepeat && (await wasDeleted(context.db, accountId, videoId))) return
  const video = await readVideo(context.db, accountId, videoId)
  if (isUnfinished(video)) await cancelVideo(context, accountId, videoId)
  await markDeleted(context.db, videoId)
  await context.store.deletePrefix(videoPrefix(videoId))
  await context.store.deletePrefix(inputPrefix(videoId))
}
