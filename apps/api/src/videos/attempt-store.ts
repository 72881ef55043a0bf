import type { AttemptResult } from '@sluice/shared/attempt-contract'
import type { Database } from '../db/database.ts'
import { isGoodSql } from '../keys/authenticate.ts'
import { isHeardOfSql, mayBindSql } from '../workers/claimant.ts'
import { resumeQueue } from '../workers/queue-delivery.ts'
import type { Attempt } from './attempt.ts'
import type { LockedVideo } from './transition.ts'
import { attemptOfKey, type Video } from './video.ts'

/*
 * The only writer of table attempt while an attempt lasts; transition.ts opens and ends it together with the
 * video's state. Progress raises the video's step too, in the same statement. A locked video locks its
 * attempts.
 */

const PRUNE_BATCH = 1_000

/**
 * Ends an update without which the transaction would not have to be durable before it is answered: whatever
 * else the transaction wrote, it waits for the disk. Comes before any LOSABLE of the same transaction.
 */
const MUST_LAST = `returning set_config('sluice.must_last', 'on', true)`
/**
 * Ends an update whose transaction need not wait for the disk: should a crash of the database lose it, the
 * worker's next report says it again. What binds a claim, ends an attempt or moves money always waits.
 */
const LOSABLE = `
      returning set_config(
        'synchronous_commit',
        case current_setting('sluice.must_last', true)
          when 'on' then current_setting('synchronous_commit')
          else 'off'
        end,
        true)`

/** Reads one attempt; null when there is none. It may change at any time unless its video is locked. */
export async function readAttempt(db: Database, videoId: string, fence: number): Promise<Attempt | null> {
  const { rows } = await db.query<Attempt>({
    name: 'attempt-read',
    text: 'select * from attempt where video_id = $1 and fence = $2',
    values: [videoId, fence],
  })
  return rows[0] ?? null
}

/** Whether an object's key is one that an attempt writes, and that attempt has not ended. */
export async function isOfOpenAttempt(db: Database, key: string): Promise<boolean> {
  const writer = attemptOfKey(key)
  if (writer === null) return false
  const { rowCount } = await db.query({
    name: 'attempt-is-open',
    text: 'select from attempt where video_id = $1 and fence = $2 and claim = $3 and ended_at is null',
    values: [writer.video, writer.fence, writer.claim],
  })
  return rowCount === 1
}

/** Who works on an attempt: one start of it on one worker, under one worker token. */
export interface ClaimHolder {
  claim: string
  workerId: string
  keyId: string
  /** The process of the worker. */
  boot: string
}

/** Which attempt was taken, by whom, and for which slot. */
export interface TakenAttempt extends Omit<ClaimHolder, 'boot'> {
  videoId: string
  fence: number
  slot: number
}

/**
 * Binds an attempt that nobody has claimed yet, in the database and in `attempt`. Waits for the disk, and
 * with it for the dispatch that gave out the fence, which stands before it in the same log: once a worker was
 * told that it has an attempt, no crash gives that fence to another.
 */
export async function bindClaim(
  db: Database,
  video: LockedVideo,
  attempt: Attempt,
  { claim, workerId, keyId, boot }: ClaimHolder,
): Promise<void> {
  await db.query({
    name: 'attempt-bind',
    text: `
      update attempt
      set claim = $3, worker_id = $4, key_id = $5, boot = $6, taken_at = now(), heartbeat_at = now(),
        devices = (select devices_per_slot from worker where id = $4)
      where video_id = $1 and fence = $2 ${MUST_LAST}`,
    values: [video.id, attempt.fence, claim, workerId, keyId, boot],
  })
  // Whoever took one takes more.
  await resumeQueue(db, attempt.queue ?? attempt.pool)
  Object.assign(attempt, { claim, worker_id: workerId, key_id: keyId } satisfies Partial<Attempt>)
}

/** What a worker that took an attempt is answered is made of this. */
export type TakenVideo = Pick<
  Video,
  'id' | 'request' | 'checkpoint_key' | 'checkpoint_step' | 'cancel_requested_at' | 'yield_requested_at'
>

/**
 * Binds attempts and writes their slots, as `bindClaim` and `writeSlot` do for one, in one statement of its
 * own, which waits for the disk: this stands between a submission and its start. At most one of a video.
 * Locks the videos, as every change does, and leaves out those that another transaction has locked, or whose
 * worker's key is not good any more. Returns what is answered of the videos of those that were taken: whose
 * attempt is the video's newest, lasts, and is the worker's or may become so. Who is told what of the others
 * is not decided here.
 */
export async function takeAttempts(
  db: Database,
  taken: readonly TakenAttempt[],
  leaseMs: number,
): Promise<TakenVideo[]> {
  const { rows } = await db.query<TakenVideo>({
    name: 'attempts-take',
    text: `
      with sent as (
        select * from unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::int[])
          s(video, fence, claim, worker, key, slot)),
      locked as (
        select v.* from sent s join video v on v.id = s.video and v.fence = s.fence
        for update of v skip locked),
      taken as (
        update attempt a
        set claim = s.claim, worker_id = s.worker, key_id = s.key, slot = s.slot, heartbeat_at = now(),
          taken_at = coalesce(a.taken_at, now()), boot = coalesce(a.boot, w.boot),
          devices = coalesce(a.devices, w.devices_per_slot)
        from locked v join sent s on s.video = v.id left join worker w on w.id = s.worker
        where a.video_id = v.id and a.fence = v.fence and a.ended_at is null
          and exists (
            select from api_key k where k.id = s.key and 'worker' = any (k.scopes) and ${isGoodSql('k')})
          and (a.claim = s.claim and a.worker_id = s.worker and a.key_id = s.key
            or a.claim is null and ${isHeardOfSql('$7::int')} and ${mayBindSql('s.key', 'a.pool')})
        returning a.video_id, coalesce(a.queue, a.pool) as queue, a.taken_at = now() as is_bound),
      -- Whoever took one takes more.
      untaken as (
        select queue from queue_delivery
        where queue in (select queue from taken where is_bound) and untaken_in_a_row > 0
        order by queue
        for update),
      resumed as (
        update queue_delivery d set untaken_in_a_row = 0, paused_until = null
        from untaken u where d.queue = u.queue)
      select v.id, v.request, v.checkpoint_key, v.checkpoint_step, v.cancel_requested_at, v.yield_requested_at
      from locked v join taken t on t.video_id = v.id`,
    values: [
      taken.map(({ videoId }) => videoId),
      taken.map(({ fence }) => fence),
      taken.map(({ claim }) => claim),
      taken.map(({ workerId }) => workerId),
      taken.map(({ keyId }) => keyId),
      taken.map(({ slot }) => slot),
      leaseMs,
    ],
  })
  return rows
}

/**
 * Writes which slot of its worker an attempt waits for. `taken` is answered with what a worker needs to
 * begin, so it always waits for the disk.
 */
export async function writeSlot(db: Database, video: LockedVideo, slot: number): Promise<void> {
  await db.query({
    name: 'attempt-taken',
    text: 'update attempt set slot = $3, heartbeat_at = now() where video_id = $1 and fence = $2',
    values: [video.id, video.fence, slot],
  })
}

/** Writes that an attempt's runner has begun. */
export async function writeStart(db: Database, video: LockedVideo): Promise<void> {
  await db.query({
    name: 'attempt-started',
    text: `
      update attempt set started_at = now(), heartbeat_at = now()
      where video_id = $1 and fence = $2 ${LOSABLE}`,
    values: [video.id, video.fence],
  })
}

export interface Progress {
  step: number
  phase: string
  /** Until the device is free; null when the worker cannot say. */
  remainingMs: number | null
}

/** Writes how far an attempt is, and with it the video, in one statement. Steps only rise. */
export async function writeProgress(db: Database, video: LockedVideo, progress: Progress): Promise<void> {
  await db.query({
    name: 'attempt-progress',
    text: `
      with shown as (update video set step = least(greatest(step, $3), num_steps) where id = $1)
      update attempt
      set step = greatest(step, $6), phase = $4, heartbeat_at = now(),
        free_at = now() + make_interval(secs => $5::float8 / 1000)
      where video_id = $1 and fence = $2 ${LOSABLE}`,
    values: [
      video.id,
      video.fence,
      progress.step,
      progress.phase,
      progress.remainingMs,
      Math.min(progress.step, video.num_steps),
    ],
  })
}

/** Writes the last step an attempt reported, which its GPU time is accounted against. Steps only rise. */
export async function writeStep(db: Database, video: LockedVideo, step: number): Promise<void> {
  await db.query({
    name: 'attempt-step',
    text: 'update attempt set step = greatest(step, $3) where video_id = $1 and fence = $2',
    values: [video.id, video.fence, Math.min(step, video.num_steps)],
  })
}

/** Writes that an attempt's device is free. The first time counts. */
export async function writeRelease(db: Database, video: LockedVideo): Promise<void> {
  await db.query({
    name: 'attempt-released',
    text: `
      update attempt set released_at = coalesce(released_at, now()), heartbeat_at = now()
      where video_id = $1 and fence = $2 ${LOSABLE}`,
    values: [video.id, video.fence],
  })
}

/** Writes what a finished attempt made; all steps are done. */
export async function writeResult(db: Database, video: LockedVideo, result: AttemptResult): Promise<void> {
  await db.query({
    name: 'attempt-result',
    text: 'update attempt set result = $3, step = $4 where video_id = $1 and fence = $2',
    values: [video.id, video.fence, result, video.num_steps],
  })
}

/** An attempt that a heartbeat names. */
export interface NamedAttempt {
  video: string
  fence: number
  claim: string
}

/** A named attempt that lasts and is its worker's own, with what was requested of its video. */
export type LiveAttempt = NamedAttempt & Pick<Video, 'cancel_requested_at' | 'yield_requested_at'>

/** Of an attempt that was heard of within this part of a lease, as by its last report, nothing is written. */
const FRESH_PART = 20

/**
 * Renews the lease of the attempts that a worker names, and returns those that last and are its own: claimed
 * by this worker and token. Locks no video, and waits for nobody: what another transaction is writing is
 * being heard of, or ends. What a crash of the database loses of it is a heartbeat that was not heard.
 */
export async function renewLeases(
  db: Database,
  { workerId, keyId, leaseMs }: Pick<ClaimHolder, 'workerId' | 'keyId'> & { leaseMs: number },
  named: readonly NamedAttempt[],
): Promise<LiveAttempt[]> {
  const { rows } = await db.query<LiveAttempt>({
    name: 'attempts-touch',
    text: `
      with named as (select * from unnest($1::text[], $2::int[], $3::text[]) n(video, fence, claim)),
      own as (
        select n.video, n.fence, n.claim, a.heartbeat_at
        from named n join attempt a on a.video_id = n.video and a.fence = n.fence
        where a.ended_at is null and a.claim = n.claim and a.key_id = $4 and a.worker_id = $5),
      due as (
        select a.video_id, a.fence
        from own o join attempt a on a.video_id = o.video and a.fence = o.fence
        where o.heartbeat_at not between now() - $6::float8 * interval '1 millisecond' and now()
        for update of a skip locked),
      touched as (
        update attempt a set heartbeat_at = now()
        from due d where a.video_id = d.video_id and a.fence = d.fence and a.ended_at is null)
      select o.video, o.fence, o.claim, v.cancel_requested_at, v.yield_requested_at,
        set_config('synchronous_commit', 'off', true)
      from own o join video v on v.id = o.video and v.fence = o.fence`,
    values: [
      named.map(({ video }) => video),
      named.map(({ fence }) => fence),
      named.map(({ claim }) => claim),
      keyId,
      workerId,
      leaseMs / FRESH_PART,
    ],
  })
  return rows
}

/**
 * Deletes a batch of attempts that ended longer ago than `days`, in hours that are closed: no figure reads
 * them any more, and no video lives so long. Returns whether there may be more.
 */
export async function pruneAttempts(db: Database, days: number): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'attempt-prune',
    text: `
      delete from attempt
      where (video_id, fence) in (
        select video_id, fence from attempt
        where ended_at < (select least(now() - make_interval(days => $1), until) from facts_closed)
        order by ended_at
        limit $2
        for update skip locked)`,
    values: [days, PRUNE_BATCH],
  })
  return rowCount === PRUNE_BATCH
}
