import type { AttemptResult } from '@sluice/shared/attempt-contract'

/** A row of table attempt, named as its columns are. */
export interface Attempt {
  video_id: string
  fence: number
  pool: string
  /** The queue it was put into; null = that of its pool. */
  queue: string | null
  resumed_from_step: number
  /** Null until a worker's first report; bound with the worker, its process (`boot`) and its token. */
  claim: string | null
  worker_id: string | null
  boot: string | null
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
