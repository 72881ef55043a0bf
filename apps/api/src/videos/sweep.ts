import { within } from '@sluice/shared/time-limit'
import { SIGNED_URL_MS, TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context } from '../context.ts'
import { inputPrefix, listAbandonedInputs, removePendingInput } from '../inputs/input-store.ts'
import { OUTPUT_FILES, type Video, videoPrefix } from './video.ts'
import { markFilesRemoved, markInputRemoved, markSwept, markSweptForGood } from './video-store.ts'

/** Videos of each kind that are read at a time. */
const BATCH = 100
/** Videos whose files are removed at a time: a store answers in tens of milliseconds. */
const PLACES = 8
/** By then every worker that is awake has heard that the attempt is over. */
const AFTER_SECONDS = 60
/**
 * By then nobody can write any more: the last signed URL has expired, and so has every PUT that began before.
 */
const FOR_GOOD_SECONDS = (SIGNED_URL_MS + TIME_LIMITS.transfer.wholeMs) / 1_000 + AFTER_SECONDS
/** How long the input image of a video that failed or was cancelled is kept for a retry. */
const INPUT_SECONDS = 86_400
/** Skip a video whose deletion failed for 10 minutes, so that it does not block the batch. */
const SKIP_MS = 600_000
const SKIPPED_MAX = 10_000

type Leftover = Pick<Video, 'id' | 'output_prefix' | 'deleted_at' | 'files_removed_at'>

/** Removes stored files that nobody can ask for any more. Where that fails, it is tried again later. */
export class Sweeper {
  readonly #context: Context
  /** Videos whose files could not be removed, with the time from which they are tried again. */
  readonly #skipped = new Map<string, number>()
  /** Said once; while it is so, nothing is tried. */
  #isStoreAway = false
  #signal: AbortSignal | undefined

  constructor(context: Context) {
    this.#context = context
  }

  /**
   * One round over some videos of each kind, each with a time limit; ends early when `signal` aborts. Returns
   * whether there may be more that can be removed now. Throws when the database is away.
   */
  async sweep(signal?: AbortSignal): Promise<boolean> {
    this.#signal = signal
    for (const [id, untilMs] of this.#skipped) {
      if (untilMs <= this.#context.clock.now()) this.#skipped.delete(id)
    }
    if (this.#isStoreAway && !(await this.#isStoreBack())) return false
    const hasMore = [
      await this.#sweepLeftovers(),
      await this.#sweepLateFiles(),
      await this.#sweepExpired(),
      await this.#sweepInputs(),
      await this.#sweepAbandonedInputs(),
    ]
    return hasMore.includes(true)
  }

  /**
   * All files of a deleted, failed or cancelled video, whoever put them there; of a completed one all but
   * those that its owner may get.
   */
  async #sweepLeftovers(): Promise<boolean> {
    const { db, store } = this.#context
    const { rows } = await db.query<Leftover>({
      name: 'sweep-due',
      text: `
        select id, output_prefix, deleted_at, files_removed_at from video
        where ended_at is not null and swept_at is null
          and greatest(ended_at, deleted_at) < now() - make_interval(secs => $1)
          and id <> all ($2::text[])
        order by ended_at
        limit $3`,
      values: [AFTER_SECONDS, this.#skippedIds(), BATCH],
    })
    return this.#each(rows, async (video) => {
      await store.deletePrefix(videoPrefix(video.id), servedKeys(video))
      await markSwept(db, video.id)
    })
  }

  /** The same again for what came after the first sweep, from a worker that slept through the end. */
  async #sweepLateFiles(): Promise<boolean> {
    const { db, store } = this.#context
    const { rows } = await db.query<Leftover>({
      name: 'sweep-late',
      text: `
        select id, output_prefix, deleted_at, files_removed_at from video
        where ended_at < now() - make_interval(secs => $1) and swept_for_good_at is null
          and id <> all ($2::text[])
        order by ended_at
        limit $3`,
      values: [FOR_GOOD_SECONDS, this.#skippedIds(), BATCH],
    })
    return this.#each(rows, async (video) => {
      await store.deletePrefix(videoPrefix(video.id), servedKeys(video))
      await markSweptForGood(db, video.id)
    })
  }

  /**
   * The files of completed videos whose retention is over; no URL of theirs is valid any more. The row and
   * the ledger stay.
   */
  async #sweepExpired(): Promise<boolean> {
    const { db, store } = this.#context
    const { rows } = await db.query<Pick<Video, 'id'>>({
      name: 'sweep-expired',
      text: `
        select id from video
        where expires_at < now() and files_removed_at is null and id <> all ($1::text[])
        order by expires_at
        limit $2`,
      values: [this.#skippedIds(), BATCH],
    })
    return this.#each(rows, async ({ id }) => {
      await store.deletePrefix(videoPrefix(id))
      await markFilesRemoved(db, id)
    })
  }

  /**
   * The input images of ended videos. A completed video can be remixed until it is deleted or expires; a
   * failed or cancelled one can be retried for a day.
   */
  async #sweepInputs(): Promise<boolean> {
    const { db, store } = this.#context
    const { rows } = await db.query<Pick<Video, 'id'>>({
      name: 'sweep-inputs',
      text: `
        select id from video
        where input_kept
          and (deleted_at is not null or expires_at is not null or status in ('failed', 'cancelled'))
          and coalesce(deleted_at, expires_at, ended_at) < now() - make_interval(secs => $1)
          and (deleted_at is not null or expires_at is not null
            or ended_at < now() - make_interval(secs => $2))
          and id <> all ($3::text[])
        limit $4`,
      values: [AFTER_SECONDS, INPUT_SECONDS, this.#skippedIds(), BATCH],
    })
    return this.#each(rows, async ({ id }) => {
      await store.deletePrefix(inputPrefix(id))
      await markInputRemoved(db, id)
    })
  }

  /** Input images of submissions that ended between storing the image and inserting the video. */
  async #sweepAbandonedInputs(): Promise<boolean> {
    const found = { skippedIds: this.#skippedIds(), limit: BATCH }
    return this.#each(await listAbandonedInputs(this.#context.db, found), ({ id }) =>
      removePendingInput(this.#context, id),
    )
  }

  #skippedIds(): string[] {
    return [...this.#skipped.keys()]
  }

  /** Returns whether it was a whole batch, and some of it was done. */
  async #each<Row extends Pick<Video, 'id'>>(
    rows: readonly Row[],
    remove: (row: Row) => Promise<void>,
  ): Promise<boolean> {
    const waiting = [...rows]
    let removed = 0
    const removeInTurn = async () => {
      for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
        if (this.#isStoreAway || this.#signal?.aborted === true) return
        if (await this.#remove(row.id, remove(row))) removed += 1
      }
    }
    await Promise.all(Array.from({ length: PLACES }, removeInTurn))
    return rows.length === BATCH && removed > 0
  }

  /** Waits for a removal, but not for ever; one that fails is skipped for a while. */
  async #remove(id: string, removal: Promise<void>): Promise<boolean> {
    const { clock, log } = this.#context
    const { videoMs } = TIME_LIMITS.recovery
    try {
      await within(videoMs, removal, () => new Error(`not within ${videoMs} ms`))
      return true
    } catch (error) {
      if (!(await this.#isStoreBack())) return false
      log.warn({ err: error, video: id }, 'files of a video could not be removed; will be tried again')
      if (this.#skipped.size < SKIPPED_MAX) this.#skipped.set(id, clock.now() + SKIP_MS)
      return false
    }
  }

  /** Whether the store can be used; that it cannot, and that it can again, is logged once. */
  async #isStoreBack(): Promise<boolean> {
    const { store, log } = this.#context
    const error = await store.ping().then(
      () => null,
      (fault: unknown) => fault,
    )
    const isAway = error !== null
    if (isAway && !this.#isStoreAway)
      log.warn({ err: error }, 'the store is away: files that nobody needs stay until it is back')
    if (!isAway && this.#isStoreAway) log.info('the store is back')
    this.#isStoreAway = isAway
    return !isAway
  }
}

/** The files of a video that its owner may still get. */
function servedKeys({ output_prefix, deleted_at, files_removed_at }: Leftover): ReadonlySet<string> {
  if (output_prefix === null || deleted_at !== null || files_removed_at !== null) return new Set()
  const { video, thumbnail, spritesheet } = OUTPUT_FILES
  return new Set([video, thumbnail, spritesheet].map((file) => `${output_prefix}/${file}`))
}
