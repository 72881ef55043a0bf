import { type AttemptResult, attemptResultSchema } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { ObjectTooLargeError } from '../storage/object-store.ts'
import type { Attempt } from '../videos/attempt.ts'
import { readAttempt } from '../videos/attempt-store.ts'
import { expiredEnd, unansweredCancelEnd } from '../videos/end.ts'
import { endVideo, lockVideo } from '../videos/transition.ts'
import { attemptPrefix, isUnfinished, OUTPUT_FILES } from '../videos/video.ts'
import { noteUntaken } from '../workers/queue-delivery.ts'
import { finishVideo } from './finish.ts'
import { lockAttempt } from './locked-attempt.ts'
import { isSilentSql } from './reception.ts'
import { requeueOrFailLost } from './requeue-or-fail.ts'
import { keepFiles } from './stored-files.ts'
import { isUnstorable } from './unstorable.ts'

const RESULT_BYTES_MAX = 64 * 1024

export interface GiveUpOptions {
  /** Only when it was silent for so long; 0 = whatever its heartbeats. */
  silentMs?: number
  /** Only while no worker has taken it. */
  onlyUntaken?: boolean
}

/**
 * Ends an attempt whose worker is gone: settled from its `result.json` when its work was finished, else back
 * to the gate under a raised fence. Does nothing when it has ended, or is not as `options` say. Throws when
 * the store or the database is away.
 */
export async function giveUpAttempt(
  context: Context,
  videoId: string,
  fence: number,
  options: GiveUpOptions = {},
): Promise<void> {
  const before = await readAttempt(context.db, videoId, fence)
  if (before === null || before.ended_at !== null) return
  const giveUp = async (db: Database, result: AttemptResult | null) => {
    const locked = await lockAttempt(context, db, videoId, fence)
    if (locked === null) return false
    const { video, attempt } = locked
    if (options.onlyUntaken === true && attempt.claim !== null) return false
    if (!(await isSilent(db, attempt, options.silentMs ?? 0))) return false
    if (result !== null) await finishVideo(locked, result)
    else if (video.cancel_requested_at !== null)
      await endVideo(db, video, unansweredCancelEnd(video, video.step), context.systemAccounts)
    else await requeueOrFailLost(locked)
    // Its worker had all the time a worker gets. One that stops says so, and is no reason to pause its queue.
    if (attempt.claim === null && options.silentMs !== undefined)
      await noteUntaken(db, attempt.queue ?? attempt.pool, attempt.pool)
    return true
  }
  // Another process was faster, or the worker was heard after all.
  if (!(await withStoredResult(context, before, giveUp))) return
  context.log.warn({ video: videoId, fence, worker: before.worker_id }, 'gave up an attempt')
  context.wakeGate()
}

/**
 * Ends a video whose time is over: completed when the work of its attempt lies finished in the store, else
 * failed, and nothing is charged. Does nothing when it has ended, or is at another attempt by now. Throws
 * when the store or the database is away: then it is not known which of the two it is.
 */
export async function expireVideo(context: Context, videoId: string, fence: number): Promise<void> {
  const attempt = await readAttempt(context.db, videoId, fence)
  const expire = async (db: Database, result: AttemptResult | null) => {
    const locked = result === null ? null : await lockAttempt(context, db, videoId, fence)
    if (result !== null && locked !== null) {
      await finishVideo(locked, result)
      return true
    }
    const video = await lockVideo(db, videoId)
    if (video === null || !isUnfinished(video) || video.fence !== fence) return false
    await endVideo(db, video, expiredEnd(), context.systemAccounts)
    return true
  }
  const lasting = attempt === null || attempt.ended_at !== null ? null : attempt
  if (await withStoredResult(context, lasting, expire)) context.wakeGate()
}

/**
 * Runs `end` in a transaction, with the result that the attempt left in the store, which is read before: a
 * slow store must keep no lock. A result that the database cannot take counts as none.
 */
async function withStoredResult(
  context: Context,
  attempt: Attempt | null,
  end: (db: Database, result: AttemptResult | null) => Promise<boolean>,
): Promise<boolean> {
  const result = attempt === null ? null : await readResult(context, attempt)
  try {
    return await transaction(context.db, (db) => end(db, result))
  } catch (error) {
    if (result === null || !isUnstorable(error)) throw error
    context.log.error({ err: error, video: result.video, fence: result.fence }, 'a result cannot be stored')
    return transaction(context.db, (db) => end(db, null))
  }
}

/** By the database's clock, as everything that decides about a lease. */
async function isSilent(db: Database, attempt: Attempt, silentMs: number): Promise<boolean> {
  if (silentMs === 0) return true
  const { rows } = await db.query<{ silent: boolean }>({
    text: `
      select ${isSilentSql('$3::int')} as silent
      from attempt a
      where a.video_id = $1 and a.fence = $2`,
    values: [attempt.video_id, attempt.fence, silentMs],
  })
  return rows[0]?.silent === true
}

/** The result that a worker stored before it could report it; null when there is none of this attempt. */
async function readResult(context: Context, attempt: Attempt): Promise<AttemptResult | null> {
  if (attempt.claim === null) return null
  const prefix = attemptPrefix(attempt.video_id, attempt.fence, attempt.claim)
  const text = await context.store
    .readText(`${prefix}/${OUTPUT_FILES.result}`, RESULT_BYTES_MAX)
    .catch((error: unknown) => {
      if (error instanceof ObjectTooLargeError) return null
      throw error
    })
  if (text === null) return null
  const { success, data: result } = attemptResultSchema.safeParse(parseJson(text))
  if (!success || result.video !== attempt.video_id) return null
  if (result.fence !== attempt.fence || result.claim !== attempt.claim) return null
  return (await keepFiles(context.store, result)) === null ? result : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
