import { type AttemptResult, attemptResultSchema } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { ObjectTooLargeError } from '../storage/object-store.ts'
import type { Attempt } from '../videos/attempt.ts'
import { readAttempt } from '../videos/attempt-store.ts'
import { unansweredCancelEnd } from '../videos/end.ts'
import { endVideo } from '../videos/transition.ts'
import { attemptPrefix, OUTPUT_FILES } from '../videos/video.ts'
import { finishVideo } from './finish.ts'
import { lockAttempt } from './locked-attempt.ts'
import { requeueOrFail } from './requeue-or-fail.ts'

const RESULT_BYTES_MAX = 64 * 1024

export interface GiveUpOptions {
  /** Only when no heartbeat has named it for so long; 0 = whatever its heartbeats. */
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
  // Read before the lock is taken: a slow store must not keep it.
  const result = await readResult(context, before)
  const isGivenUp = await transaction(context.db, async (db) => {
    const locked = await lockAttempt(context, db, videoId, fence)
    if (locked === null) return false
    const { video, attempt } = locked
    if (options.onlyUntaken === true && attempt.claim !== null) return false
    if (!(await isSilent(db, attempt, options.silentMs ?? 0))) return false
    if (result !== null) await finishVideo(locked, result)
    else if (video.cancel_requested_at !== null)
      await endVideo(db, video, unansweredCancelEnd(video, video.step), context.systemAccounts)
    else {
      await requeueOrFail(locked, {
        code: 'worker_lost',
        message: attempt.claim === null ? 'No worker took it in time.' : 'Its worker fell silent.',
        retryable: true,
      })
    }
    return true
  })
  // Another process was faster, or the worker was heard after all.
  if (!isGivenUp) return
  context.log.warn(
    { video: videoId, fence, worker: before.worker_id, finished: result !== null },
    'gave up an attempt',
  )
  context.wakeGate()
}

/** By the database's clock, as everything that decides about a lease. */
async function isSilent(db: Database, attempt: Attempt, silentMs: number): Promise<boolean> {
  if (silentMs === 0) return true
  const { rows } = await db.query<{ silent: boolean }>({
    text: `
      select heartbeat_at < now() - make_interval(secs => $3::float8 / 1000) as silent
      from attempt
      where video_id = $1 and fence = $2`,
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
  const stored = await context.store.head(`${prefix}/${OUTPUT_FILES.video}`)
  return stored?.bytes === result.files.video.bytes ? result : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
