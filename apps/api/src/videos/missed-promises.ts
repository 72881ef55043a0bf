import { type DatabasePool, transaction } from '../db/database.ts'
import { enqueueVideoEvent } from '../webhooks/enqueue.ts'
import { missPromises } from './video-store.ts'

/** Videos in one transaction; the others come with the next. */
const BATCH = 100

/**
 * Writes that the promises of videos that go on while their time has passed are missed, and says so to those
 * who asked for the event. Several processes may do so at once. What it costs to miss them is settled when
 * the videos end.
 */
export async function noteMissedPromises(db: DatabasePool): Promise<void> {
  for (let missed = BATCH; missed === BATCH; ) {
    missed = await transaction(db, async (tx) => {
      const videos = await missPromises(tx, BATCH)
      for (const video of videos) await enqueueVideoEvent(tx, video, 'video.promise_missed')
      return videos.length
    })
  }
}
