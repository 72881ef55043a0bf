import type { Context } from '../context.ts'
import { inputPrefix } from '../inputs/input-store.ts'
import type { Video } from './video.ts'

const BATCH = 20
/** By then every worker has heard that the attempt is over, so nothing is written any more. */
const AFTER_SECONDS = 60

/** How long the image of a video that failed or was cancelled is kept for a retry. */
const INPUT_SECONDS = 86_400

/**
 * Removes the bytes nobody will ask for again: all of a deleted, failed or cancelled video; of a completed one its
 * checkpoints and what attempts that lost left behind. Answers how many videos it looked at.
 */
export async function sweepLeftovers(context: Context): Promise<number> {
  const { rows } = await context.db.query<Pick<Video, 'id' | 'status' | 'output_prefix' | 'deleted_at'>>({
    name: 'sweep-due',
    text: `select id, status, output_prefix, deleted_at from video where ended_at is not null and swept_at is null
    and greatest(ended_at, deleted_at) < now() - make_interval(secs => $1) order by ended_at limit $2`,
    values: [AFTER_SECONDS, BATCH],
  })
  for (const video of rows) {
    for (const prefix of await leftoverPrefixes(context, video)) await context.store.deletePrefix(prefix)
    await context.db.query({ text: 'update video set swept_at = now() where id = $1', values: [video.id] })
  }
  await sweepExpired(context)
  await sweepInputs(context)
  return rows.length
}

/** Removes the files of completed videos whose time is over; the row and the ledger stay. No address of theirs is good any more. */
async function sweepExpired(context: Context): Promise<void> {
  const { rows } = await context.db.query<Pick<Video, 'id'>>({
    name: 'sweep-expired',
    text: 'select id from video where expires_at < now() and files_removed_at is null order by expires_at limit $1',
    values: [BATCH],
  })
  for (const { id } of rows) {
    await context.store.deletePrefix(`videos/${id}`)
    await context.db.query({ text: 'update video set files_removed_at = now() where id = $1', values: [id] })
  }
}

/**
 * Removes the images of ended videos: with the video's own files (deleted or expired), since until then it can be remixed; of a
 * failed or cancelled one a day after its end, since until then it can be retried.
 */
async function sweepInputs(context: Context): Promise<void> {
  const { rows } = await context.db.query<Pick<Video, 'id'>>({
    name: 'sweep-inputs',
    text: `select id from video where input_kept and (deleted_at is not null or expires_at is not null or status in ('failed', 'cancelled'))
    and coalesce(deleted_at, expires_at, ended_at) < now() - make_interval(secs => $1)
    and (deleted_at is not null or expires_at is not null or ended_at < now() - make_interval(secs => $2)) limit $3`,
    values: [AFTER_SECONDS, INPUT_SECONDS, BATCH],
  })
  for (const { id } of rows) {
    await context.store.deletePrefix(inputPrefix(id))
    await context.db.query({ text: 'update video set input_kept = false where id = $1', values: [id] })
  }
}

async function leftoverPrefixes(context: Context, video: Pick<Video, 'id' | 'output_prefix' | 'deleted_at'>): Promise<string[]> {
  if (video.output_prefix === null || video.deleted_at !== null) return [`videos/${video.id}`]
  const { rows } = await context.db.query<{ fence: number; claim: string }>({
    text: 'select fence, claim from attempt where video_id = $1 and claim is not null',
    values: [video.id],
  })
  const prefixes = rows.map((row) => `videos/${video.id}/${row.fence}-${row.claim}`)
  return [...prefixes.filter((prefix) => prefix !== video.output_prefix), `${video.output_prefix}/checkpoint`]
}
