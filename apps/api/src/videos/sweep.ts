import type { Context } from '../context.ts'
import { inputPrefix } from '../inputs/input-store.ts'
import { attemptPrefix, type Video, videoPrefix } from './video.ts'
import { markFilesRemoved, markInputRemoved, markSwept } from './video-store.ts'

const BATCH = 20
/** By then every worker has heard that the attempt is over, so nothing is written any more. */
const AFTER_SECONDS = 60
/** How long the input image of a video that failed or was cancelled is kept for a retry. */
const INPUT_SECONDS = 86_400
/** Skip a video whose deletion failed for 10 minutes, so that it does not block the batch. */
const SKIP_MS = 600_000
const SKIPPED_MAX = 10_000

type Leftover = Pick<Video, 'id' | 'output_prefix' | 'deleted_at'>

/** Removes stored files that nobody can ask for any more. Where that fails, it is tried again later. */
export class Sweeper {
  readonly #context: Context
  /** Videos whose files could not be removed, with the time from which they are tried again. */
  readonly #skipped = new Map<string, number>()

  constructor(context: Context) {
    this.#context = context
  }

  /** One round over a few videos of each kind. Throws when the database is away. */
  async sweep(): Promise<void> {
    for (const [id, untilMs] of this.#skipped) {
      if (untilMs <= this.#context.clock.now()) this.#skipped.delete(id)
    }
    await this.#sweepLeftovers()
    await this.#sweepExpired()
    await this.#sweepInputs()
  }

  /**
   * All files of a deleted, failed or cancelled video; of a completed one its checkpoints and the files of
   * its lost attempts.
   */
  async #sweepLeftovers(): Promise<void> {
    const { db, store } = this.#context
    const { rows } = await db.query<Leftover>({
      name: 'sweep-due',
      text: `
        select id, output_prefix, deleted_at from video
        where ended_at is not null and swept_at is null
          and greatest(ended_at, deleted_at) < now() - make_interval(secs => $1)
          and id <> all ($2::text[])
        order by ended_at
        limit $3`,
      values: [AFTER_SECONDS, this.#skippedIds(), BATCH],
    })
    await this.#each(rows, async (video) => {
      for (const prefix of await this.#leftoverPrefixes(video)) await store.deletePrefix(prefix)
      await markSwept(db, video.id)
    })
  }

  /**
   * The files of completed videos whose retention is over; no URL of theirs is valid any more. The row and
   * the ledger stay.
   */
  async #sweepExpired(): Promise<void> {
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
    await this.#each(rows, async ({ id }) => {
      await store.deletePrefix(videoPrefix(id))
      await markFilesRemoved(db, id)
    })
  }

  /**
   * The input images of ended videos. A completed video can be remixed until it is deleted or expires; a
   * failed or cancelled one can be retried for a day.
   */
  async #sweepInputs(): Promise<void> {
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
    await this.#each(rows, async ({ id }) => {
      await store.deletePrefix(inputPrefix(id))
      await markInputRemoved(db, id)
    })
  }

  #skippedIds(): string[] {
    return [...this.#skipped.keys()]
  }

  async #each<Row extends Pick<Video, 'id'>>(
    rows: readonly Row[],
    remove: (row: Row) => Promise<void>,
  ): Promise<void> {
    const { clock, log } = this.#context
    for (const row of rows) {
      try {
        await remove(row)
      } catch (error) {
        log.warn({ err: error, video: row.id }, 'files of a video could not be removed; will be tried again')
        if (this.#skipped.size < SKIPPED_MAX) this.#skipped.set(row.id, clock.now() + SKIP_MS)
      }
    }
  }

  async #leftoverPrefixes(video: Leftover): Promise<string[]> {
    if (video.output_prefix === null || video.deleted_at !== null) return [videoPrefix(video.id)]
    const { rows } = await this.#context.db.query<{ fence: number; claim: string }>({
      text: 'select fence, claim from attempt where video_id = $1 and claim is not null',
      values: [video.id],
    })
    const prefixes = rows.map((row) => attemptPrefix(video.id, row.fence, row.claim))
    return [
      ...prefixes.filter((prefix) => prefix !== video.output_prefix),
      `${video.output_prefix}/checkpoint`,
    ]
  }
}
