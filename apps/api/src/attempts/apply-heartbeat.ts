import type { Heartbeat, HeartbeatAnswer, Verdict } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { noteShift } from '../workers/note-shift.ts'
import { giveUpAttempt } from './reconcile.ts'

/**
 * Notes that a worker lives and what it holds, and answers what to do with each. A first heartbeat of a new boot proves
 * that the worker's earlier process is gone, so what that one held and this one does not name is given up at once. When the
 * last worker of a pool begins to stop, so is what nobody there has taken yet: it goes to another pool, or waits as queued.
 */
export async function applyHeartbeat(
  context: Context,
  keyId: string,
  heartbeat: Heartbeat,
): Promise<HeartbeatAnswer> {
  const change = await noteWorker(context, keyId, heartbeat)
  const attempts = await touchAttempts(context.db, keyId, heartbeat)
  if (change === 'boot') await giveUpUnnamed(context, keyId, heartbeat)
  if (change === 'offer' && heartbeat.draining) await giveUpUntaken(context, heartbeat.pool)
  if (change !== 'none') context.wakeGate()
  return { attempts }
}

/** Answers what is new since the last heartbeat: the process, what it offers to the gate, or nothing. */
async function noteWorker(
  { db, config }: Context,
  keyId: string,
  beat: Heartbeat,
): Promise<'boot' | 'offer' | 'none'> {
  return transaction(db, async (tx) => {
    const before = await tx.query<{ boot: string; slots: number; draining: boolean }>({
      text: 'select boot, slots, draining from worker where id = $1 for update',
      values: [beat.worker],
    })
    await tx.query({
      name: 'worker-note',
      text: `insert into worker (id, key_id, boot, pool, slots, device, devices_per_slot, vram_bytes, models, frames_max, pixels_max,
        cost_per_hour_micros, draining, modes, sequence_devices, heartbeat_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, now())
      on conflict (id) do update set key_id = excluded.key_id, boot = excluded.boot, pool = excluded.pool, slots = excluded.slots,
        device = excluded.device, devices_per_slot = excluded.devices_per_slot, vram_bytes = excluded.vram_bytes, models = excluded.models,
        frames_max = excluded.frames_max, pixels_max = excluded.pixels_max, cost_per_hour_micros = excluded.cost_per_hour_micros,
        draining = excluded.draining, modes = excluded.modes, sequence_devices = excluded.sequence_devices, heartbeat_at = now()`,
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
        // Workers from before this limit had a name split over every device of a slot.
        beat.limits.sequence_devices ?? beat.devices_per_slot,
      ],
    })
    await noteShift(tx, beat, config.timings.leaseMs)
    const earlier = before.rows[0]
    if (earlier === undefined || earlier.boot !== beat.boot) return 'boot'
    return earlier.slots !== beat.slots || earlier.draining !== beat.draining ? 'offer' : 'none'
  })
}

/** Keeps alive what is named and still this worker's, and answers a verdict for each. */
async function touchAttempts(
  db: Database,
  keyId: string,
  beat: Heartbeat,
): Promise<HeartbeatAnswer['attempts']> {
  if (beat.attempts.length === 0) return []
  const { rows } = await db.query<{
    video: string
    fence: number
    claim: string
    cancel: boolean
    yields: boolean
  }>({
    name: 'attempts-touch',
    text: `with named as (select * from unnest($1::text[], $2::int[], $3::text[]) n(video, fence, claim)),
    touched as (
      update attempt a set heartbeat_at = now() from named n
      where a.video_id = n.video and a.fence = n.fence and a.ended_at is null
        and (a.claim is null or (a.claim = n.claim and a.key_id = $4 and a.worker_id = $5))
      returning n.video, n.fence, n.claim)
    select t.video, t.fence, t.claim, v.cancel_requested_at is not null as cancel, v.yield_requested_at is not null as yields
    from touched t join video v on v.id = t.video and v.fence = t.fence`,
    values: [
      beat.attempts.map((held) => held.video),
      beat.attempts.map((held) => held.fence),
      beat.attempts.map((held) => held.claim),
      keyId,
      beat.worker,
    ],
  })
  const live = new Map(rows.map((row) => [`${row.video} ${row.fence} ${row.claim}`, row]))
  return beat.attempts.map((held) => {
    const row = live.get(`${held.video} ${held.fence} ${held.claim}`)
    const verdict: Verdict =
      row === undefined ? 'stop' : row.cancel ? 'cancel' : row.yields ? 'yield' : 'continue'
    return { video: held.video, fence: held.fence, claim: held.claim, verdict }
  })
}

async function giveUpUnnamed(context: Context, keyId: string, beat: Heartbeat): Promise<void> {
  const { rows } = await context.db.query<{ video_id: string; fence: number; claim: string }>({
    text: `select video_id, fence, claim from attempt a where worker_id = $1 and key_id = $2 and ended_at is null
    and not exists (select from unnest($3::text[]) named(claim) where named.claim = a.claim)`,
    values: [beat.worker, keyId, beat.attempts.map((held) => held.claim)],
  })
  for (const row of rows) await giveUpAttempt(context, row.video_id, row.fence)
}

async function giveUpUntaken(context: Context, pool: string): Promise<void> {
  const { rows } = await context.db.query<{ video_id: string; fence: number }>({
    text: `select video_id, fence from attempt where pool = $1 and ended_at is null and claim is null
    and not exists (select from living_worker($2) where pool = $1)`,
    values: [pool, context.config.timings.leaseMs],
  })
  for (const row of rows) await giveUpAttempt(context, row.video_id, row.fence, { onlyUntaken: true })
}
