import type { Readable } from 'node:stream'
import type { Context } from '../context.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { INPUT_IMAGE_FIELD } from './input-image.ts'
import { type FittedImage, IMAGE_BYTES_MAX } from './source-image.ts'

/** A submission takes a minute at the very most: it waits its turn, asks two services and the store. */
const ABANDONED_SECONDS = 900

/** Where a video's input image lies in the store. */
export function inputImageKey(videoId: string): string {
  return `${inputPrefix(videoId)}/reference.png`
}

/** Key prefix of a video's inputs. */
export function inputPrefix(videoId: string): string {
  return `inputs/${videoId}`
}

/** The input image of a submission: stored ahead of its video, removed again when the submission fails. */
export class PendingInputImage {
  readonly sha256: string
  readonly png: Buffer
  readonly #context: Context
  #videoId: string | null = null
  #isStored = false

  constructor(context: Context, image: FittedImage) {
    this.#context = context
    this.png = image.png
    this.sha256 = image.sha256
  }

  /**
   * Stores it, outside of any transaction. What is stored is noted first: should this process die before the
   * video is there, the sweep removes it. Throws SluiceError `unavailable` when the store fails.
   */
  async store(videoId: string): Promise<void> {
    const { db, store, log } = this.#context
    await db.query({
      name: 'input-pending',
      text: 'insert into pending_input (video_id) values ($1)',
      values: [videoId],
    })
    this.#videoId = videoId
    try {
      await store.put(inputImageKey(videoId), this.png, 'image/png')
      this.#isStored = true
    } catch (error) {
      log.error({ err: error, video: videoId }, 'an input image could not be stored')
      throw new SluiceError(
        'unavailable',
        'The image could not be stored. Please try again.',
        INPUT_IMAGE_FIELD,
      )
    }
  }

  /** Makes it the video's own, in the transaction that inserts it. */
  async keep(db: Database): Promise<void> {
    if (this.#videoId !== null) await forgetPendingInput(db, this.#videoId)
  }

  /**
   * Removes what was stored, after a submission that failed. Leaves it when the video is there all the same:
   * its commit can succeed without being answered. What cannot be removed now is left to the sweep. Never
   * throws.
   */
  async drop(): Promise<void> {
    if (this.#videoId === null) return
    try {
      // What a store did not answer may be stored later: that is left to the sweep.
      if (this.#isStored) await removePendingInput(this.#context, this.#videoId)
    } catch (error) {
      this.#context.log.warn(
        { err: error, video: this.#videoId },
        'the input image of a refused submission could not be removed yet',
      )
    }
  }
}

/**
 * Removes an image that was stored for a video, unless the video has made it its own. A transaction whose
 * commit was not answered may be under way still: it is waited for. Throws DatabaseUnavailableError when that
 * takes too long.
 */
export async function removePendingInput({ db, store }: Context, videoId: string): Promise<void> {
  const { rowCount } = await db.query({
    name: 'input-abandon',
    text: 'select from pending_input where video_id = $1 for update',
    values: [videoId],
  })
  if (rowCount === 0) return
  await store.deletePrefix(inputPrefix(videoId))
  await forgetPendingInput(db, videoId)
}

/** Videos for which an image was stored so long ago that no submission can still be under way. */
export async function listAbandonedInputs(
  db: Database,
  { skippedIds, limit }: { skippedIds: readonly string[]; limit: number },
): Promise<{ id: string }[]> {
  const { rows } = await db.query<{ id: string }>({
    name: 'inputs-abandoned',
    text: `
      select video_id as id from pending_input
      where created_at < now() - make_interval(secs => $1) and video_id <> all ($2::text[])
      order by created_at
      limit $3`,
    values: [ABANDONED_SECONDS, skippedIds, limit],
  })
  return rows
}

async function forgetPendingInput(db: Database, videoId: string): Promise<void> {
  await db.query({
    name: 'input-settled',
    text: 'delete from pending_input where video_id = $1',
    values: [videoId],
  })
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
