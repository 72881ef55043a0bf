import type { Heartbeat, HeartbeatAnswer } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { renewLeases } from '../videos/attempt-store.ts'
import { noteWorker } from '../workers/note-worker.ts'
import { giveUpAttempt } from './give-up.ts'
import { verdictOf } from './verdict.ts'

/**
 * Writes that a worker lives and which attempts it owns, and returns a verdict for each. The first heartbeat
 * of a new boot proves that the worker's earlier process is gone, so what that one owned and this one does
 * not name is given up at once. When the last worker of a pool begins to drain, so is what nobody there has
 * taken yet: it goes to another pool, or waits as queued.
 */
export async function applyHeartbeat(
  context: Context,
  keyId: string,
  heartbeat: Heartbeat,
): Promise<HeartbeatAnswer> {
  const change = await transaction(context.db, (db) =>
    noteWorker(db, { keyId, beat: heartbeat, leaseMs: context.config.timings.leaseMs }),
  )
  const attempts = await renewAttempts(context.db, keyId, heartbeat)
  if (change === 'boot') await giveUpUnnamed(context, keyId, heartbeat)
  if (change === 'capacity' && heartbeat.draining) await giveUpUntaken(context, heartbeat.pool)
  if (change !== 'none') context.wakeGate()
  return { attempts, installation: context.installation }
}

/** Renews the leases of what the worker names and owns; for anything else the verdict is `stop`. */
async function renewAttempts(
  db: Database,
  keyId: string,
  { worker: workerId, attempts }: Heartbeat,
): Promise<HeartbeatAnswer['attempts']> {
  if (attempts.length === 0) return []
  const live = await renewLeases(db, { workerId, keyId }, attempts)
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

async function giveUpUntaken(context: Context, pool: string): Promise<void> {
  const { rows } = await context.db.query<{ video_id: string; fence: number }>({
    text: `
      select video_id, fence from attempt
      where pool = $1 and ended_at is null and claim is null
        and not exists (select from living_worker($2) where pool = $1)`,
    values: [pool, context.config.timings.leaseMs],
  })
  for (const row of rows) await giveUpAttempt(context, row.video_id, row.fence, { onlyUntaken: true })
}
