import type { AttemptResult } from '@sluice/shared/attempt-contract'
import type { Database } from '../db/database.ts'

/** A row of table attempt, named as its columns are. */
export interface Attempt {
  video_id: string
  fence: number
  pool: string
  resumed_from_step: number
  claim: string | null
  worker_id: string | null
  key_id: string | null
  slot: number | null
  /** GPUs of its slot; null until a worker took it. */
  devices: number | null
  phase: string | null
  step: number
  free_at: Date | null
  heartbeat_at: Date
  dispatched_at: Date
  taken_at: Date | null
  started_at: Date | null
  released_at: Date | null
  ended_at: Date | null
  outcome: 'completed' | 'failed' | 'cancelled' | 'yielded' | 'lost' | null
  error_code: string | null
  error_message: string | null
  result: AttemptResult | null
}

/** Reads one attempt; its video must be locked, which locks its attempts. */
export async function readAttempt(db: Database, videoId: string, fence: number): Promise<Attempt | null> {
  const { rows } = await db.query<Attempt>({
    name: 'attempt-read',
    text: 'select * from attempt where video_id = $1 and fence = $2',
    values: [videoId, fence],
  })
  return rows[0] ?? null
}
