import { type Heartbeat, type HeartbeatAnswer, WORKER_ID_IN_USE } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { renewLeases } from '../videos/attempt-store.ts'
import { type NotedWorker, noteWorker, queueRead, renewWorker } from '../workers/note-worker.ts'
import { resumeQueue } from '../workers/queue-delivery.ts'
import { giveUpAttempt } from './give-up.ts'
import { verdictOf } from './verdict.ts'

/**
 * Writes that a worker lives and which attempts it owns, and returns a verdict for each. The first heartbeat
 * of a new boot proves that the worker's earlier process is gone, so what that one owned and this one does
 * not name is given up at once. When the last worker of a queue begins to drain, so is what nobody there has
 * taken yet: it goes to another queue, or waits as queued. Throws SluiceError `worker_id_in_use` to a process
 * that is not the only live one with its id.
 */
export async function applyHeartbeat(
  context: Context,
  keyId: string,
  heartbeat: Heartbeat,
): Promise<HeartbeatAnswer> {
  const { change, leftQueue } = await noteHeartbeat(context, keyId, heartbeat)
  const attempts = await renewAttempts(context, keyId, heartbeat)
  if (change === 'boot') await giveUpUnnamed(context, keyId, heartbeat)
  if (leftQueue !== null) await giveUpUntaken(context, leftQueue)
  if (change !== 'none' && heartbeat.slots > 0 && !heartbeat.draining)
    await resumeQueue(context.db, queueRead(heartbeat))
  if (change !== 'none') context.wakeGate()
  return { attempts, installation: context.installation }
}

async function noteHeartbeat(context: Context, keyId: string, beat: Heartbeat): Promise<NotedWorker> {
  const { leaseMs } = context.config.timings
  if (await renewWorker(context.db, { keyId, beat, leaseMs })) return { change: 'none', leftQueue: null }
  try {
    return await transaction(context.db, (db) => noteWorker(db, { keyId, beat, leaseMs }))
  } catch (error) {
    if (error instanceof SluiceError && error.code === WORKER_ID_IN_USE)
      context.log.warn({ worker: beat.worker, pool: beat.pool, boot: beat.boot }, error.message)
    throw error
  }
}

/** Renews the leases of what the worker names and owns; for anything else the verdict is `stop`. */
async function renewAttempts(
  { db, config }: Context,
  keyId: string,
  { worker: workerId, attempts }: Heartbeat,
): Promise<HeartbeatAnswer['attempts']> {
  if (attempts.length === 0) return []
  const live = await renewLeases(db, { workerId, keyId, leaseMs: config.timings.leaseMs }, attempts)
  const liveByName = new Map(live.map((row) => [`${row.video} ${row.fence} ${row.claim}`, row]))
  return attempts.map(({ video, fence, claim }) => {
    const row = liveByName.get(`${video} ${fence} ${claim}`)
    return { video, fence, claim, verdict: row === undefined ? 'stop' : verdictOf(row) }
  })
}

async function giveUpUnnamed(context: Context, keyId: string, beat: Heartbeat): Promise<void> {
  const { rows } = await context.db.query<{ video_id: string; fence: number }>({
    text: `
      select video_id, fence from attempt a
      where worker_id = $1 and key_id = $2 and ended_at is null
        and not exists (select from unnest($3::text[]) named(claim) where named.claim = a.claim)`,
    values: [beat.worker, keyId, beat.attempts.map(({ claim }) => claim)],
  })
  for (const row of rows) await giveUpAttempt(context, row.video_id, row.fence)
}

async function giveUpUntaken(context: Context, queue: string): Promise<void> {
  const { rows } = await context.db.query<{ video_id: string; fence: number }>({
    text: `
      select video_id, fence from attempt
      where coalesce(queue, pool) = $1 and ended_at is null and claim is null
        and not exists (select from living_worker($2) where queue = $1)`,
    values: [queue, context.config.timings.leaseMs],
  })
  for (const row of rows) await giveUpAttempt(context, row.video_id, row.fence, { onlyUntaken: true })
}
