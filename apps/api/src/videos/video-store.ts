import type { HeadRow } from '@sluice/gate/head-row'
import { isId } from '@sluice/shared/ids'
import { capabilityOf } from '@sluice/shared/models/capability'
import type { Database } from '../db/database.ts'
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
  | 'max_price_micros'
  | 'not_before'
  | 'waits_for'
  | 'budget_starts_at'
  | 'input_kept'
  | 'retention_seconds'
> & {
  expires_after_seconds: number
  /** By when it is promised, or within how many seconds; null = not at all. */
  promised: PromisedTime | null
}

/** A promise to be made, at one of the two times. */
export interface PromisedTime {
  deliverBy: Date | null
  withinSeconds: number | null
  missedMultiplierBps: number
}

/** What of a key and its account the gate goes by. */
export type GateStanding = Pick<HeadRow, 'weight' | 'account_running_max' | 'key_running_max'>

export interface InsertedVideo {
  video: Video
  standing: GateStanding
}

/**
 * Inserts queued videos and dates their accounts' last submission, in one statement. Post their holds in the
 * same transaction. Returns the rows in the same order, made of what was inserted and of the columns'
 * defaults: reading back some sixty columns of each would cost more than inserting them. With each comes what
 * the gate goes by of its account and key. The accounts' rows are locked by then.
 */
export async function insertVideos(db: Database, videos: readonly NewVideo[]): Promise<InsertedVideo[]> {
  const { rows } = await db.query<GateStanding & { id: string; created_at: Date }>({
    name: 'videos-insert',
    text: `
        with given as (
          select * from json_to_recordset($1::json) as g (
            id text, account_id text, key_id text, service_tier text, resolution text, request jsonb,
            metadata jsonb, remixed_from_video_id text, retried_from_video_id text, webhook_url text,
            refinement text, original_prompt text, idempotency_key text, request_hash text,
            video_tokens bigint, currency text, price_micros_per_million bigint, multiplier_bps integer,
            hold_micros bigint, budget_starts_at timestamptz, input_kept boolean, retention_seconds integer,
            expires_after_seconds integer, model text, width integer, height integer, num_frames integer,
            num_steps integer, max_price_micros bigint, not_before timestamptz, waits_for text,
            deliver_by timestamptz, within_seconds integer, missed_multiplier_bps integer)),
        active as (
          update account set last_submitted_at = now() where id in (select account_id from given)
          returning id, weight, running_max),
        inserted as (
          insert into video (
            id, account_id, key_id, service_tier, resolution, model, width, height, num_frames, num_steps,
            request, metadata, remixed_from_video_id, retried_from_video_id, webhook_url, refinement,
            original_prompt, idempotency_key, request_hash, video_tokens, currency,
            price_micros_per_million, multiplier_bps, hold_micros, budget_starts_at, input_kept,
            retention_seconds, max_price_micros, not_before, waits_for, execution_expires_at, deliver_by,
            promise, missed_multiplier_bps)
          select
            id, account_id, key_id, service_tier, resolution, model, width, height, num_frames, num_steps,
            request, metadata, remixed_from_video_id, retried_from_video_id, webhook_url, refinement,
            original_prompt, idempotency_key, decode(request_hash, 'base64'), video_tokens, currency,
            price_micros_per_million, multiplier_bps, hold_micros, budget_starts_at, input_kept,
            retention_seconds, max_price_micros, not_before, waits_for,
            now() + make_interval(secs => expires_after_seconds),
            coalesce(deliver_by, now() + make_interval(secs => within_seconds)),
            case when missed_multiplier_bps is not null then 'given' end, missed_multiplier_bps
          from given)
        select g.id, now() as created_at,
          a.weight, a.running_max as account_running_max, k.running_max as key_running_max
        from given g
        join active a on a.id = g.account_id
        join api_key k on k.id = g.key_id`,
    values: [JSON.stringify(videos.map(rowOf))],
  })
  const byId = new Map(rows.map((row) => [row.id, row]))
  return videos.map((video) => {
    const row = byId.get(video.id)
    if (row === undefined) throw new Error(`video ${video.id} was not inserted`)
    const { id: _, created_at: createdAt, ...standing } = row
    return { video: insertedVideo(video, createdAt), standing }
  })
}

/** A new video as the statement above reads it. */
function rowOf({ promised, ...video }: NewVideo): object {
  const { model, width, height, num_frames, num_steps } = video.request
  return {
    ...video,
    deliver_by: promised?.deliverBy ?? null,
    within_seconds: promised?.withinSeconds ?? null,
    missed_multiplier_bps: promised?.missedMultiplierBps ?? null,
    model,
    width,
    height,
    num_frames,
    num_steps,
    request_hash: video.request_hash.toString('base64'),
    video_tokens: String(video.video_tokens),
    price_micros_per_million: String(video.price_micros_per_million),
    hold_micros: String(video.hold_micros),
    max_price_micros: video.max_price_micros === null ? null : String(video.max_price_micros),
  }
}

/** The row of a video that was just inserted. */
function insertedVideo({ expires_after_seconds, promised, ...given }: NewVideo, createdAt: Date): Video {
  const after = (seconds: number) => new Date(createdAt.getTime() + seconds * 1_000)
  const { model, width, height, num_frames, num_steps } = given.request
  return {
    ...given,
    ...NOTHING_YET,
    model,
    width,
    height,
    num_frames,
    num_steps,
    capability: capabilityOf(given.request),
    created_at: createdAt,
    execution_expires_at: after(expires_after_seconds),
    deliver_by: promised === null ? null : (promised.deliverBy ?? after(promised.withinSeconds ?? 0)),
    promise: promised === null ? null : 'given',
    missed_multiplier_bps: promised?.missedMultiplierBps ?? null,
  }
}

/** The columns of a video to which nothing has happened: the defaults of table video. */
const NOTHING_YET = {
  status: 'queued',
  charged_micros: null,
  charged_steps: null,
  fence: 0,
  pool: null,
  step: 0,
  failures_in_a_row: 0,
  cancel_requested_at: null,
  cancel_step: null,
  yield_requested_at: null,
  checkpoint_key: null,
  checkpoint_step: null,
  output_prefix: null,
  error_code: null,
  error_message: null,
  started_at: null,
  ended_at: null,
  deleted_at: null,
  swept_at: null,
  swept_for_good_at: null,
  expires_at: null,
  files_removed_at: null,
  rebate_micros: 0n,
} as const satisfies Partial<Video>

/**
 * Writes that the promises whose time has passed are missed, of at most `max` videos that have not ended;
 * leaves out those that another transaction has locked. Returns the videos.
 */
export async function missPromises(
  db: Database,
  max: number,
): Promise<Pick<Video, 'id' | 'account_id' | 'webhook_url'>[]> {
  const { rows } = await db.query<Pick<Video, 'id' | 'account_id' | 'webhook_url'>>({
    name: 'promises-miss',
    text: `
      update video set promise = 'missed'
      where id in (
        select id from video
        where promise = 'given' and deliver_by < now()
          -- One that was cancelled in time ends as void.
          and coalesce(cancel_requested_at, now()) > deliver_by
        order by deliver_by
        limit $1
        for no key update skip locked)
      returning id, account_id, webhook_url`,
    values: [max],
  })
  return rows
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

/**
 * Has the flex videos wait or go that `multiplierBps`, the price of flex in force, and the time ask for: at
 * most `videosMax` of each kind. Those that another transaction has locked are left for the next time.
 * Returns how many have changed. Losing it in a crash loses nothing.
 */
export async function wakeFlexVideos(
  db: Database,
  { multiplierBps, videosMax }: { multiplierBps: number; videosMax: number },
): Promise<number> {
  const { rowCount } = await db.query({
    name: 'videos-wake',
    text: `
      with due as (
        select id from video
        where status = 'queued' and waits_for = 'not_before' and not_before <= now()
        order by not_before
        limit $2
        for update skip locked),
      affordable as (
        select id from video
        where status = 'queued' and waits_for = 'price' and multiplier_bps >= $1
        order by multiplier_bps desc
        limit $2
        for update skip locked),
      dear as (
        select id from video
        where status = 'queued' and waits_for is null and max_price_micros is not null and fence = 0
          and multiplier_bps < $1
        order by multiplier_bps
        limit $2
        for update skip locked)
      update video
      set waits_for = case when max_price_micros is not null and multiplier_bps < $1 then 'price' end
      where id in (select id from due union all select id from affordable union all select id from dear)`,
    values: [multiplierBps, videosMax],
  })
  return rowCount ?? 0
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
