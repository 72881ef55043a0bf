import type { Heartbeat } from '@sluice/shared/attempt-contract'
import type { Database } from '../db/database.ts'
import { noteShift } from './note-shift.ts'

/** What a heartbeat changed: the worker's process is another, its slots or its draining are, or neither. */
type WorkerChange = 'boot' | 'capacity' | 'none'

/**
 * Records what a worker says of itself, and its shift, in the caller's transaction. Returns what changed
 * since its last heartbeat.
 */
export async function noteWorker(
  db: Database,
  { keyId, beat, leaseMs }: { keyId: string; beat: Heartbeat; leaseMs: number },
): Promise<WorkerChange> {
  const { rows } = await db.query<{ boot: string; slots: number; draining: boolean }>({
    text: 'select boot, slots, draining from worker where id = $1 for update',
    values: [beat.worker],
  })
  await upsertWorker(db, keyId, beat)
  await noteShift(db, beat, leaseMs)
  const earlier = rows[0]
  if (earlier === undefined || earlier.boot !== beat.boot) return 'boot'
  return earlier.slots !== beat.slots || earlier.draining !== beat.draining ? 'capacity' : 'none'
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
