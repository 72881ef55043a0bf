import type { Context } from '../context.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { readBytes } from './read-bytes.ts'
import { type FittedImage, IMAGE_BYTES_MAX } from './source-image.ts'

/** Where the image of a video lies in the store. */
export function inputKey(videoId: string): string {
  return `${inputPrefix(videoId)}/reference.png`
}

/** The folder of a video's inputs. */
export function inputPrefix(videoId: string): string {
  return `inputs/${videoId}`
}

/** The image of one submission: stored with its video, removed again when the video is not taken after all. */
export class PendingInput {
  readonly sha256: string
  readonly #context: Context
  readonly #png: Buffer
  #videoId: string | null = null

  constructor(context: Context, image: FittedImage) {
    this.#context = context
    this.#png = image.png
    this.sha256 = image.sha256
  }

  /** Stores it as the last thing in the transaction that inserts the video. Throws SluiceError `unavailable` when the store doesn't take it. */
  async keep(db: Database, videoId: string): Promise<void> {
    await db.query({
      name: 'input-keep',
      text: 'update video set input_kept = true where id = $1',
      values: [videoId],
    })
    this.#videoId = videoId
    try {
      await this.#context.store.put(inputKey(videoId), this.#png, 'image/png')
    } catch (error) {
      this.#context.log.error({ err: error, video: videoId }, 'an image could not be stored')
      throw new SluiceError(
        'unavailable',
        'The image could not be stored. Please try again.',
        'input_reference',
      )
    }
  }

  /** After a submission that failed: removes what was stored, unless the video is there all the same (its commit was not heard). */
  async drop(): Promise<void> {
    if (this.#videoId === null) return
    try {
      const { rowCount } = await this.#context.db.query({
        text: 'select from video where id = $1',
        values: [this.#videoId],
      })
      if (rowCount === 0) await this.#context.store.deletePrefix(inputPrefix(this.#videoId))
    } catch (error) {
      this.#context.log.warn(
        { err: error, video: this.#videoId },
        'the image of a refused submission stays behind',
      )
    }
  }
}

/** The image a video was made from. Throws SluiceError `state_conflict` when it has been removed. */
export async function readInput(context: Context, videoId: string): Promise<Buffer> {
  const object = await context.store.get(inputKey(videoId))
  if (object === null) {
    throw new SluiceError(
      'state_conflict',
      'The image this video was made from has been removed: submit it again.',
      'input_reference',
    )
  }
  return readBytes(object.body, IMAGE_BYTES_MAX)
}
