import type { Database } from '../db/database.ts'

/** A worker as its last heartbeat declared it, and the attempts it owns. */
export interface WorkerRow {
  id: string
  pool: string
  queue: string
  /** Dispatches in a row that nobody took from its queue. */
  untaken: number
  slots: number
  loaded: { slot: number; model: string }[]
  device: string
  devices_per_slot: number
  vram_bytes: bigint
  models: string[]
  modes: string[]
  frames_max: number
  pixels_max: number
  sequence_devices: number
  cost_per_hour_micros: bigint | null
  draining: boolean
  key_id: string
  heartbeat_at: Date
  heartbeat_age_ms: number
  attempts: {
    video_id: string
    account_id: string
    model: string
    fence: number
    slot: number | null
    phase: string | null
    step: number
    steps: number
    /** The device is free already; its files are being checked and stored. */
    released: boolean
    taken_at: number | null
  }[]
}

const WORKERS_MAX = 1_000

/** Every worker there has been, the last heard of first; at most a thousand. */
export async function listWorkers(db: Database): Promise<WorkerRow[]> {
  const { rows } = await db.query<WorkerRow>({
    text: `select w.id, w.pool, w.queue, coalesce(d.untaken_in_a_row, 0) as untaken,
        w.slots, w.loaded, w.device, w.devices_per_slot, w.vram_bytes, w.models, w.modes,
        w.frames_max, w.pixels_max, w.sequence_devices, w.cost_per_hour_micros, w.draining, w.key_id,
        w.heartbeat_at,
        greatest(0, extract(epoch from now() - w.heartbeat_at) * 1000)::float8 as heartbeat_age_ms,
        coalesce((
          select json_agg(json_build_object(
              'video_id', a.video_id, 'account_id', v.account_id, 'model', v.model, 'fence', a.fence,
              'slot', a.slot, 'phase', a.phase, 'step', a.step, 'steps', v.num_steps,
              'released', a.released_at is not null,
              'taken_at', floor(extract(epoch from a.taken_at))
            ) order by a.slot, a.dispatched_at)
          from attempt a
          join video v on v.id = a.video_id
          where a.worker_id = w.id and a.ended_at is null), '[]') as attempts
      from worker w
      left join queue_delivery d on d.queue = w.queue
      order by w.heartbeat_at desc
      limit $1`,
    values: [WORKERS_MAX],
  })
  return rows
}
