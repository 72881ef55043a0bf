import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { inputPrefix } from '../inputs/input-store.ts'
import { inTurn } from '../places.ts'
import { cancelUnfinished, lockOwnVideo } from './cancel.ts'
import { videoPrefix } from './video.ts'
import { markDeleted, wasDeleted } from './video-store.ts'

/**
 * Deletes a video for its owner: an unfinished one is cancelled first, its files are removed, its ledger
 * rows stay. Whether it has ended is looked at under its lock, so that a completion in the same moment is no
 * conflict. What a worker that has not heard of it still writes is removed by the sweep. A repeat
 * (`isRepeat`: the caller may have deleted it before without seeing the answer) of a delete that was done is
 * no error. Throws SluiceError `not_found`.
 */
export async function deleteVideo(
  context: Context,
  accountId: string,
  videoId: string,
  { isRepeat }: { isRepeat: boolean },
): Promise<void> {
  if (isRepeat && (await wasDeleted(context.db, accountId, videoId))) return
  await inTurn(context.places.calls, accountId, () =>
    transaction(context.db, async (db) => {
      const video = await lockOwnVideo(db, accountId, videoId)
      await cancelUnfinished(context, db, video)
      await markDeleted(db, video.id)
    }),
  )
  context.wakeGate()
  try {
    await context.store.deletePrefix(videoPrefix(videoId))
    await context.store.deletePrefix(inputPrefix(videoId))
  } catch (error) {
    // It is deleted all the same: nobody can ask for the files, and the sweep removes them.
    context.log.warn({ err: error, video: videoId }, 'files of a deleted video stay until they are swept')
  }
}
