import type { Readable } from 'node:stream'
import type { Context } from '../context.ts'
import { SluiceError } from '../errors.ts'
import { INPUT_IMAGE_FIELD } from './input-image.ts'
import { type FittedImage, IMAGE_BYTES_MAX } from './source-image.ts'

/** Where a video's input image lies in the store. */
export function inputImageKey(videoId: string): string {
  return `${inputPrefix(videoId)}/reference.png`
}

/** Key prefix of a video's inputs. */
export function inputPrefix(videoId: string): string {
  return `inputs/${videoId}`
}

/** The input image of a submission: stored with its video, removed again when the submission fails. */
export class PendingInputImage {
  readonly sha256: string
  readonly #context: Context
  readonly #png: Buffer
  #videoId: string | null = null

  constructor(context: Context, image: FittedImage) {
    this.#context = context
    this.#png = image.png
    this.sha256 = image.sha256
  }

  /**
   * Stores it. Call it last in the transaction that inserts the video. Throws SluiceError `unavailable` when
   * the store fails.
   */
  async store(videoId: string): Promise<void> {
    this.#videoId = videoId
    try {
      await this.#context.store.put(inputImageKey(videoId), this.#png, 'image/png')
    } catch (error) {
      this.#context.log.error({ err: error, video: videoId }, 'an input image could not be stored')
      throw new SluiceError(
        'unavailable',
        'The image could not be stored. Please try again.',
        INPUT_IMAGE_FIELD,
      )
    }
  }

  /**
   * Removes what was stored, after a submission that failed. Leaves it when the video is there all the same:
   * its commit can succeed without being answered. Never throws.
   */
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
        'the input image of a refused submission could not be removed',
      )
    }
  }
}

/** A video's input image, as a PNG. Throws SluiceError `state_conflict` when it has been removed. */
export async function readInputImage(context: Context, videoId: string): Promise<Buffer> {
  const object = await context.store.get(inputImageKey(videoId))
  if (object === null) {
    throw new SluiceError(
      'state_conflict',
      'The image this video was made from has been removed: submit it again.',
      INPUT_IMAGE_FIELD,
    )
  }
  return readAll(object.body)
}

/** The whole stream. Throws RangeError when it has more bytes than an input image may have. */
async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > IMAGE_BYTES_MAX) throw new RangeError(`an input image has more than ${IMAGE_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
