import { HEARTBEAT_MS, type Heartbeat } from '@sluice/shared/attempt-contract'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { noteShift } from './note-shift.ts'

/** The queue a worker reads; those that name none read that of their pool. */
export function queueRead({ queue, pool }: Pick<Heartbeat, 'queue' | 'pool'>): string {
  return queue ?? pool
}

/** What a heartbeat changed. */
export interface NotedWorker {
  /** The worker's process is another; its slots, its queue or its draining are; or neither. */
  change: 'boot' | 'capacity' | 'none'
  /** A queue that the worker reads no more, since it drains, or serves something else now. */
  leftQueue: string | null
}

interface EarlierWorker {
  boot: string
  replaced_boots: string[]
  queue: string
  slots: number
  draining: boolean
  silent_ms: number
}

/** A process that was heard of within this long may live: it may have missed one heartbeat. */
const ALIVE_MS = HEARTBEAT_MS * 2
const REPLACED_BOOTS_MAX = 16

/**
 * Records what a worker says of itself, and its shift, in the caller's transaction. Returns what changed
 * since its last heartbeat. Throws SluiceError `worker_id_in_use` to a process that is not the only live one
 * with its id; of two, the one that is heard stays.
 */
export async function noteWorker(
  db: Database,
  { keyId, beat, leaseMs }: { keyId: string; beat: Heartbeat; leaseMs: number },
): Promise<NotedWorker> {
  const { rows } = await db.query<EarlierWorker>({
    text: `
      select boot, replaced_boots, queue, slots, draining,
        extract(epoch from now() - heartbeat_at)::float8 * 1000 as silent_ms
      from worker where id = $1 for update`,
    values: [beat.worker],
  })
  const earlier = rows[0]
  if (earlier !== undefined) requireOnlyProcess(earlier, beat)
  await upsertWorker(db, { keyId, beat, replacedBoots: replacedBoots(earlier, beat) })
  await noteShift(db, beat, leaseMs)
  if (earlier === undefined || earlier.boot !== beat.boot) return { change: 'boot', leftQueue: null }
  const isOtherQueue = earlier.queue !== queueRead(beat)
  const isStopping = beat.draining && !earlier.draining
  const hasChanged = isOtherQueue || earlier.slots !== beat.slots || earlier.draining !== beat.draining
  return {
    change: hasChanged ? 'capacity' : 'none',
    leftQueue: isOtherQueue || isStopping ? earlier.queue : null,
  }
}

/** Throws SluiceError `worker_id_in_use`. */
function requireOnlyProcess(earlier: EarlierWorker, beat: Heartbeat): void {
  if (earlier.boot === beat.boot) return
  if (earlier.replaced_boots.includes(beat.boot))
    throw idInUse(`${beat.worker} is another process now, which took it over from this one`)
  const isKnownGone = beat.predecessors?.includes(earlier.boot) ?? true
  if (!isKnownGone && earlier.silent_ms < ALIVE_MS)
    throw idInUse(
      `${beat.worker} is another live process, heard of ${Math.max(0, Math.round(earlier.silent_ms))} ms ago`,
    )
}

function idInUse(why: string): SluiceError {
  return new SluiceError(
    'worker_id_in_use',
    `worker ${why}: two processes use one id, such as those of a copied data dir. This one has to take another.`,
    'worker',
  )
}

function replacedBoots(earlier: EarlierWorker | undefined, beat: Heartbeat): string[] {
  if (earlier === undefined) return []
  if (earlier.boot === beat.boot) return earlier.replaced_boots
  return [earlier.boot, ...earlier.replaced_boots].slice(0, REPLACED_BOOTS_MAX)
}

/** What a heartbeat says of its worker, in the order of its columns from $1 on. */
function columnsOf(keyId: string, beat: Heartbeat): unknown[] {
  return [
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
    queueRead(beat),
    JSON.stringify(beat.loaded ?? []),
  ]
}

/**
 * Notes in one statement of its own that a worker lives of which all else is known: it says what it said
 * last, in the same process, and its shift goes on. False when that is not so: then `noteWorker` has all to
 * do. What a crash of the database loses of it is a heartbeat that was not heard.
 */
export async function renewWorker(
  db: Database,
  { keyId, beat, leaseMs }: { keyId: string; beat: Heartbeat; leaseMs: number },
): Promise<boolean> {
  const { rows } = await db.query<{ is_renewed: boolean }>({
    name: 'worker-renew',
    text: `
      with seen as (select xmin from worker where id = $1),
      same as (
        update worker w set heartbeat_at = now()
        from seen
        -- Who waited for the row has seen the shifts of before: another heartbeat may have begun others.
        where w.xmin = seen.xmin
          and id = $1 and key_id = $2 and boot = $3 and pool = $4 and slots = $5 and device = $6
          and devices_per_slot = $7 and vram_bytes = $8 and models = $9 and frames_max = $10
          and pixels_max = $11 and cost_per_hour_micros is not distinct from $12 and draining = $13
          and modes = $14 and sequence_devices = $15 and queue = $16 and loaded = $17::jsonb
        returning id),
      last as (select id from worker_shift where worker_id = $1 order by id desc limit 1),
      shift as (
        update worker_shift s set until = greatest(s.until, now())
        -- the worker's row first: it is what locks its shifts
        from same, last
        where s.id = last.id and s.boot = $3 and s.until > now() - $18::int * interval '1 millisecond'
          and s.pool = $4 and s.slots = $5 and s.devices_per_slot = $7
          and s.cost_per_hour_micros is not distinct from $12
        returning s.id)
      select exists (select from shift) as is_renewed, set_config('synchronous_commit', 'off', true)`,
    values: [...columnsOf(keyId, beat), leaseMs],
  })
  return rows[0]?.is_renewed === true
}

async function upsertWorker(
  db: Database,
  { keyId, beat, replacedBoots }: { keyId: string; beat: Heartbeat; replacedBoots: string[] },
): Promise<void> {
  await db.query({
    name: 'worker-note',
    text: `
      insert into worker (
        id, key_id, boot, pool, slots, device, devices_per_slot, vram_bytes, models, frames_max, pixels_max,
        cost_per_hour_micros, draining, modes, sequence_devices, queue, loaded, replaced_boots,
        heartbeat_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
        now())
      on conflict (id) do update set
        key_id = excluded.key_id, boot = excluded.boot, pool = excluded.pool, slots = excluded.slots,
        device = excluded.device, devices_per_slot = excluded.devices_per_slot,
        vram_bytes = excluded.vram_bytes, models = excluded.models, frames_max = excluded.frames_max,
        pixels_max = excluded.pixels_max, cost_per_hour_micros = excluded.cost_per_hour_micros,
        draining = excluded.draining, modes = excluded.modes, sequence_devices = excluded.sequence_devices,
        queue = excluded.queue, replaced_boots = excluded.replaced_boots, loaded = excluded.loaded,
        heartbeat_at = now()`,
    values: [...columnsOf(keyId, beat), replacedBoots],
  })
}
