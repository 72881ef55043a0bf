import { isId } from '@sluice/shared/ids'
import type { Context } from '../context.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { inputPrefix } from '../inputs/input-store.ts'
import { listVideoTransfers, type TransferRow } from '../ledger/list-transfers.ts'
import type { Attempt } from './attempt.ts'
import { cancelVideo, notFound } from './cancel.ts'
import type { Video } from './video.ts'

/** An account's video. Throws SluiceError `not_found` for an unknown or malformed id and for another tenant's alike. */
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
 * Throws SluiceError `not_found` unless `after` names a video of the account. A deleted one will do: a client may delete
 * what it lists.
 */
export async function requireCursor(db: Database, accountId: string, after: string): Promise<void> {
  const isKnown =
    isId('video', after) &&
    (
      await db.query({
        name: 'video-cursor',
        text: 'select from video where id = $1 and account_id = $2',
        values: [after, accountId],
      })
    ).rowCount === 1
  if (!isKnown)
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

/** One page of an account's videos by time of creation; `after` is the id the page before ended with. */
export async function listVideos(
  db: Database,
  accountId: string,
  page: { after: string | undefined; limit: number; order: 'asc' | 'desc' },
): Promise<Page> {
  const comparison = page.order === 'asc' ? '>' : '<'
  const { rows } = await db.query<Video>({
    name: `video-list-${page.order}`,
    text: `select * from video where account_id = $1 and deleted_at is null and ($2::text is null or id ${comparison} $2)
    order by id ${page.order} limit $3`,
    values: [accountId, page.after ?? null, page.limit + 1],
  })
  return { videos: rows.slice(0, page.limit), hasMore: rows.length > page.limit }
}

/**
 * Deletes a video for its owner: an unfinished one is cancelled first, its bytes are removed, its ledger rows stay. What a
 * worker that had not heard of it yet still writes is removed by the sweep. `isRetry`: who asks may have deleted it already and
 * never heard so, hence a video that is gone is no mistake. Throws SluiceError `not_found`.
 */
export async function deleteVideo(
  context: Context,
  accountId: string,
  videoId: string,
  isRetry: boolean,
): Promise<void> {
  if (isRetry && (await wasDeleted(context.db, accountId, videoId))) return
  const video = await readVideo(context.db, accountId, videoId)
  if (['queued', 'dispatched', 'running'].includes(video.status))
    await cancelVideo(context, accountId, videoId)
  await context.db.query({
    text: 'update video set deleted_at = now(), swept_at = null where id = $1',
    values: [videoId],
  })
  await context.store.deletePrefix(`videos/${videoId}`)
  await context.store.deletePrefix(inputPrefix(videoId))
}

async function wasDeleted(db: Database, accountId: string, videoId: string): Promise<boolean> {
  if (!isId('video', videoId)) return false
  const { rowCount } = await db.query({
    text: 'select from video where id = $1 and account_id = $2 and deleted_at is not null',
    values: [videoId, accountId],
  })
  return rowCount === 1
}

/** Everything the operator may know of a video: the row, its attempts, its ledger transfers; null when there is none. */
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
