import type { Context } from '../context.ts'
import { inputPrefix } from '../inputs/input-store.ts'
import type { Video } from './video.ts'

const BATCH = 20
/** By then every worker has heard that the attempt is over, so nothing is written any more. */
const AFTER_SECONDS = 60
/** How long the image of a video that failed or was cancelled is kept for a retry. */
const INPUT_SECONDS = 86_400
/** What the store refused to remove is left alone for so long, so that it keeps nobody else's bytes lying. */
const REFUSED_MS = 600_000
const REFUSED_MAX = 10_000

type Leftover = Pick<Video, 'id' | 'output_prefix' | 'deleted_at'>

/** Removes the bytes nobody will ask for again. Each video by itself: one that cannot be swept is tried again later. */
export class Sweeper {
  readonly #context: Context
  /** Videos whose bytes could not be removed, with the time from which they are tried again. */
  readonly #refused = new Map<string, number>()

  constructor(context: Context) {
    this.#context = context
  }

  /** One round over a few of each kind. Throws when the database is away. */
  async sweep(): Promise<void> {
    for (const [id, untilMs] of this.#refused) {
      if (untilMs <= this.#context.clock.now()) this.#refused.delete(id)
    }
    await this.#sweepLeftovers()
    await this.#sweepExpired()
    await this.#sweepInputs()
  }

  /** All of a deleted, failed or cancelled video; of a completed one its checkpoints and what attempts that lost left behind. */
  async #sweepLeftovers(): Promise<void> {
    const { rows } = await this.#context.db.query<Leftover>({
      name: 'sweep-due',
      text: `select id, output_prefix, deleted_at from video where ended_at is not null and swept_at is null
      and greatest(ended_at, deleted_at) < now() - make_interval(secs => $1) and id <> all ($2::text[]) order by ended_at limit $3`,
      values: [AFTER_SECONDS, this.#passedOver(), BATCH],
    })
    await this.#each(rows, async (video) => {
      for (const prefix of await this.#leftoverPrefixes(video)) await this.#context.store.deletePrefix(prefix)
      await this.#context.db.query({
        text: 'update video set swept_at = now() where id = $1',
        values: [video.id],
      })
    })
  }

  /** The files of completed videos whose time is over; the row and the ledger stay. No address of theirs is good any more. */
  async #sweepExpired(): Promise<void> {
    const { rows } = await this.#context.db.query<Pick<Video, 'id'>>({
      name: 'sweep-expired',
      text: `select id from video where expires_at < now() and files_removed_at is null and id <> all ($1::text[])
      order by expires_at limit $2`,
      values: [this.#passedOver(), BATCH],
    })
    await this.#each(rows, async ({ id }) => {
      await this.#context.store.deletePrefix(`videos/${id}`)
      await this.#context.db.query({
        text: 'update video set files_removed_at = now() where id = $1',
        values: [id],
      })
    })
  }

  /**
   * The images of ended videos: with the video's own files (deleted or expired), since until then it can be remixed; of a
   * failed or cancelled one a day after its end, since until then it can be retried.
   */
  async #sweepInputs(): Promise<void> {
    const { rows } = await this.#context.db.query<Pick<Video, 'id'>>({
      name: 'sweep-inputs',
      text: `select id from video where input_kept and (deleted_at is not null or expires_at is not null or status in ('failed', 'cancelled'))
      and coalesce(deleted_at, expires_at, ended_at) < now() - make_interval(secs => $1)
      and (deleted_at is not null or expires_at is not null or ended_at < now() - make_interval(secs => $2))
      and id <> all ($3::text[]) limit $4`,
      values: [AFTER_SECONDS, INPUT_SECONDS, this.#passedOver(), BATCH],
    })
    await this.#each(rows, async ({ id }) => {
      await this.#context.store.deletePrefix(inputPrefix(id))
      await this.#context.db.query({
        text: 'update video set input_kept = false where id = $1',
        values: [id],
      })
    })
  }

  #passedOver(): string[] {
    return [...this.#refused.keys()]
  }

  async #each<Row extends Pick<Video, 'id'>>(
    rows: readonly Row[],
    remove: (row: Row) => Promise<void>,
  ): Promise<void> {
    for (const row of rows) {
      try {
        await remove(row)
      } catch (error) {
        this.#context.log.warn(
          { err: error, video: row.id },
          'bytes of a video could not be removed; they are tried again later',
        )
        if (this.#refused.size < REFUSED_MAX)
          this.#refused.set(row.id, this.#context.clock.now() + REFUSED_MS)
      }
    }
  }

  async #leftoverPrefixes(video: Leftover): Promise<string[]> {
    if (video.output_prefix === null || video.deleted_at !== null) return [`videos/${video.id}`]
    const { rows } = await this.#context.db.query<{ fence: number; claim: string }>({
      text: 'select fence, claim from attempt where video_id = $1 and claim is not null',
      values: [video.id],
    })
    const prefixes = rows.map((row) => `videos/${video.id}/${row.fence}-${row.claim}`)
    return [
      ...prefixes.filter((prefix) => prefix !== video.output_prefix),
      `${video.output_prefix}/checkpoint`,
    ]
  }
}
