import { isId } from '@sluice/shared/ids'
import { type Database, one } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { listVideoTransfers, type TransferRow } from '../ledger/list-transfers.ts'
import type { Attempt } from './attempt.ts'
import type { LockedVideo } from './transition.ts'
import type { Video } from './video.ts'

/*
 * Inserts and reads videos, and writes what changes in table video while the status stays. The status and
 * what changes with it are written by transition.ts, the step of a progress report by attempt-store.ts.
 */

/** The one answer for an unknown id, a malformed one and another tenant's. */
export function notFound(): SluiceError {
  return new SluiceError('not_found', 'No such video.', 'video_id')
}

/** An account's video. Throws SluiceError `not_found` for an unknown, malformed or other tenant's id. */
export async function readVideo(db: Database, accountId: string, videoId: string): Promise<Video> {
  if (!isId('video', videoId)) throw notFound()
  const { rows } = await db.query<Video>({
    name: 'video-read',
    text: 'select * from video where id = $1 and account_id = $2 and deleted_at is null',
    values: [videoId, accountId],
  })
  const video = rows[0]
  if (video === undefined) throw notFound()
  return video
}

/**
 * Throws SluiceError `not_found` unless `after` names a video of the account. A deleted one will do: a client
 * may delete what it lists.
 */
export async function requireCursor(db: Database, accountId: string, after: string): Promise<void> {
  if (isId('video', after)) {
    const { rowCount } = await db.query({
      name: 'video-cursor',
      text: 'select from video where id = $1 and account_id = $2',
      values: [after, accountId],
    })
    if (rowCount === 1) return
  }
  throw new SluiceError(
    'not_found',
    'No such video: after is the id of the last video of the page before.',
    'after',
  )
}

export interface Page {
  videos: Video[]
  hasMore: boolean
}

/** One page of an account's videos by time of creation; `after` is the id that the page before ended with. */
export async function listVideos(
  db: Database,
  accountId: string,
  page: { after: string | undefined; limit: number; order: 'asc' | 'desc' },
): Promise<Page> {
  const comparison = page.order === 'asc' ? '>' : '<'
  const { rows } = await db.query<Video>({
    name: `video-list-${page.order}`,
    text: `
      select * from video
      where account_id = $1 and deleted_at is null and ($2::text is null or id ${comparison} $2)
      order by id ${page.order}
      limit $3`,
    values: [accountId, page.after ?? null, page.limit + 1],
  })
  return { videos: rows.slice(0, page.limit), hasMore: rows.length > page.limit }
}

/** Whether a video was the account's and has been deleted. */
export async function wasDeleted(db: Database, accountId: string, videoId: string): Promise<boolean> {
  if (!isId('video', videoId)) return false
  const { rowCount } = await db.query({
    text: 'select from video where id = $1 and account_id = $2 and deleted_at is not null',
    values: [videoId, accountId],
  })
  return rowCount === 1
}

/** What the operator may know of a video: its row, attempts and ledger transfers; null when there is none. */
export async function readVideoForAdmin(
  db: Database,
  videoId: string,
): Promise<{ video: Video; attempts: Attempt[]; transfers: TransferRow[] } | null> {
  const videos = await db.query<Video>({ text: 'select * from video where id = $1', values: [videoId] })
  const video = videos.rows[0]
  if (video === undefined) return null
  const attempts = await db.query<Attempt>({
    text: 'select * from attempt where video_id = $1 order by fence',
    values: [videoId],
  })
  return { video, attempts: attempts.rows, transfers: await listVideoTransfers(db, videoId) }
}

/** What is frozen into a video when it is submitted. */
export type NewVideo = Pick<
  Video,
  | 'id'
  | 'account_id'
  | 'key_id'
  | 'service_tier'
  | 'resolution'
  | 'request'
  | 'metadata'
  | 'remixed_from_video_id'
  | 'retried_from_video_id'
  | 'webhook_url'
  | 'refinement'
  | 'original_prompt'
  | 'idempotency_key'
  | 'request_hash'
  | 'video_tokens'
  | 'currency'
  | 'price_micros_per_million'
  | 'multiplier_bps'
  | 'hold_micros'
  | 'budget_starts_at'
  | 'input_kept'
  | 'retention_seconds'
> & { expires_after_seconds: number }

/** Inserts a queued video and dates its account's last submission. Post its hold in the same transaction. */
export async function insertVideo(db: Database, video: NewVideo): Promise<Video> {
  const { request } = video
  return one(
    await db.query<Video>({
      name: 'video-insert',
      text: `
        with active as (update account set last_submitted_at = now() where id = $2)
        insert into video (
          id, account_id, key_id, service_tier, resolution, model, width, height, num_frames, num_steps,
          request, metadata, remixed_from_video_id, retried_from_video_id, webhook_url, refinement,
          original_prompt, idempotency_key, request_hash, video_tokens, currency, price_micros_per_million,
          multiplier_bps, hold_micros, budget_starts_at, input_kept, retention_seconds, execution_expires_at)
        values (
          $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
          $11, $12, $13, $14, $15, $16,
          $17, $18, $19, $20, $21, $22,
          $23, $24, $25, $26, $27, now() + make_interval(secs => $28))
        returning *`,
      values: [
        video.id,
        video.account_id,
        video.key_id,
        video.service_tier,
        video.resolution,
        request.model,
        request.width,
        request.height,
        request.num_frames,
        request.num_steps,
        request,
        video.metadata,
        video.remixed_from_video_id,
        video.retried_from_video_id,
        video.webhook_url,
        video.refinement,
        video.original_prompt,
        video.idempotency_key,
        video.request_hash,
        video.video_tokens,
        video.currency,
        video.price_micros_per_million,
        video.multiplier_bps,
        video.hold_micros,
        video.budget_starts_at,
        video.input_kept,
        video.retention_seconds,
        video.expires_after_seconds,
      ],
    }),
  )
}

/** Requests the cancel of a running video. The first request counts: it freezes the step charged up to. */
export async function requestCancel(db: Database, video: LockedVideo): Promise<void> {
  await db.query({
    text: `
      update video set cancel_requested_at = now(), cancel_step = step
      where id = $1 and cancel_requested_at is null`,
    values: [video.id],
  })
}

/**
 * Asks a running video to yield at its next step. Without effect when it no longer runs or was asked before.
 */
export async function requestYield(db: Database, videoId: string): Promise<void> {
  await db.query({
    name: 'video-request-yield',
    text: `
      update video set yield_requested_at = now()
      where id = $1 and status = 'running' and yield_requested_at is null`,
    values: [videoId],
  })
}

/** Writes where the newest checkpoint lies. That is progress, so the count of failures starts again. */
export async function writeCheckpoint(
  db: Database,
  video: LockedVideo,
  checkpoint: { key: string; step: number },
): Promise<void> {
  await db.query({
    name: 'video-checkpoint',
    text: `
      update video
      set checkpoint_key = $2, checkpoint_step = $3, step = greatest(step, $3), failures_in_a_row = 0
      where id = $1`,
    values: [video.id, checkpoint.key, checkpoint.step],
  })
}

/** Whether the files of any video should lie in the store. */
export async function hasStoredFiles(db: Database): Promise<boolean> {
  const { rowCount } = await db.query({
    text: `
      select from video
      where output_prefix is not null and deleted_at is null and files_removed_at is null
      limit 1`,
  })
  return rowCount === 1
}

/** Writes that an ended video was swept after the last of its signed URLs had expired. */
export async function markSweptForGood(db: Database, videoId: string): Promise<void> {
  await db.query({ text: 'update video set swept_for_good_at = now() where id = $1', values: [videoId] })
}

/** Hides an ended video from its owner and has the sweep look at it again. */
export async function markDeleted(db: Database, videoId: string): Promise<void> {
  await db.query({
    text: 'update video set deleted_at = now(), swept_at = null where id = $1',
    values: [videoId],
  })
}

/** Writes that what an ended video left behind has been removed. */
export async function markSwept(db: Database, videoId: string): Promise<void> {
  await db.query({ text: 'update video set swept_at = now() where id = $1', values: [videoId] })
}

/** Writes that the files of an expired video have been removed. */
export async function markFilesRemoved(db: Database, videoId: string): Promise<void> {
  await db.query({ text: 'update video set files_removed_at = now() where id = $1', values: [videoId] })
}

/** Writes that the input image of a video has been removed. */
export async function markInputRemoved(db: Database, videoId: string): Promise<void> {
  await db.query({ text: 'update video set input_kept = false where id = $1', values: [videoId] })
}
