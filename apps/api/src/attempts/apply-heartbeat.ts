import type { Heartbeat, HeartbeatAnswer } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { type Database, type DatabasePool, transaction } from '../db/database.ts'
import { renewLeases } from '../videos/attempt-store.ts'
import { noteShift } from '../workers/note-shift.ts'
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
  const change = await writeWorker(context.db, keyId, heartbeat)
  const attempts = await renewAttempts(context.db, keyId, heartbeat)
  if (change === 'boot') await giveUpUnnamed(context, keyId, heartbeat)
  if (change === 'capacity' && heartbeat.draining) await giveUpUntaken(context, heartbeat.pool)
  if (change !== 'none') context.wakeGate()
  return { attempts }
}

/** Returns what changed since the worker's last heartbeat: its process, the slots it has, or nothing. */
async function writeWorker(
  pool: DatabasePool,
  keyId: string,
  beat: Heartbeat,
): Promise<'boot' | 'capacity' | 'none'> {
  return transaction(pool, async (db) => {
    const { rows } = await db.query<{ boot: string; slots: number; draining: boolean }>({
      text: 'select boot, slots, draining from worker where id = $1 for update',
      values: [beat.worker],
    })
    await upsertWorker(db, keyId, beat)
    await noteShift(db, beat)
    const earlier = rows[0]
    if (earlier === undefined || earlier.boot !== beat.boot) return 'boot'
    return earlier.slots !== beat.slots || earlier.draining !== beat.draining ? 'capacity' : 'none'
  })
}

async function upsertWorker(db: Database, keyId: string, beat: Heartbeat): Promise<void> {
  await db.query({
    name: 'worker-note',
    text: `
      insert into worker (
        id, key_id, boot, pool, slots, device, devices_per_slot, vram_bytes, models, frames_max, pixels_max,
        cost_per_hour_micros, draining, modes, sequence_devices, heartbeat_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, now())
      on conflict (id) do update set
        key_id = excluded.key_id, boot = excluded.boot, pool = excluded.pool, slots = excluded.slots,
        device = excluded.device, devices_per_slot = excluded.devices_per_slot,
        vram_bytes = excluded.vram_bytes, models = excluded.models, frames_max = excluded.frames_max,
        pixels_max = excluded.pixels_max, cost_per_hour_micros = excluded.cost_per_hour_micros,
        draining = excluded.draining, modes = excluded.modes, sequence_devices = excluded.sequence_devices,
        heartbeat_at = now()`,
    values: [
      beat.worker,
      keyId,
      beat.boot,
      beat.pool,
      beat.slots,
      beat.device,
      beat.devices_per_slot,
      Math.round(beat.vram_bytes),
      [...beat.models].sort(),
      beat.limits.frames_max,
      beat.limits.pixels_max,
      beat.cost_per_hour_micros,
      beat.draining,
      [...new Set(beat.modes)].sort(),
      // Workers older than this limit divide a sequence among all devices of a slot.
      beat.limits.sequence_devices ?? beat.devices_per_slot,
    ],
  })
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
        and not exists (
          select from worker
          where pool = $1 and slots > 0 and not draining
            and heartbeat_at > now() - make_interval(secs => $2::float8 / 1000))`,
    values: [pool, context.config.timings.leaseMs],
  })
  for (const row of rows) await giveUpAttempt(context, row.video_id, row.fence, { onlyUntaken: true })
}
