import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Head } from './choose.ts'
import type { Pool } from './fleet.ts'
import { type Paces, type PredictableVideo, predictDeviceMs } from './pace.ts'

/** A queued video as the gate reads it. */
export interface HeadRow extends PredictableVideo {
  id: string
  model: string
  account_id: string
  key_id: string
  weight: number
  account_running_max: number | null
  key_running_max: number | null
  service_tier: ServiceTier
  num_steps: number
  checkpoint_step: number | null
  expires_in_ms: number
  /** Of a flex video that has no price yet: the highest factor, in basis points, that it may go at. */
  multiplier_bps_max: number | null
  /** Milliseconds until it may be dispatched, as far as its own time decides; 0 = now. */
  not_before_in_ms: number
  /** Milliseconds since it was first passed over because of what was loaded; null = never. */
  passed_over_ms: number | null
}

/**
 * A queued video as the head of its queue, with what it costs on this pool. The clock starts now, at 0;
 * `ageMs`: since the row was read.
 */
export function headOf(row: HeadRow, pool: Pick<Pool, 'pool' | 'device'>, paces: Paces, ageMs = 0): Head {
  return {
    videoId: row.id,
    accountId: row.account_id,
    model: row.model,
    keyId: row.key_id,
    queueKey: queueKeyOf(row),
    accountRunningMax: row.account_running_max,
    keyRunningMax: row.key_running_max,
    weight: row.weight,
    tier: row.service_tier,
    costMs: predictDeviceMs(paces, pool, row, row.num_steps - (row.checkpoint_step ?? 0)),
    expiresInMs: row.expires_in_ms - ageMs,
    passedOverAtMs: row.passed_over_ms === null ? null : -row.passed_over_ms - ageMs,
  }
}

/**
 * Names the queue a video waits in: those of one key, shape and tier, in the order of index
 * video_ready_by_shape_and_key.
 */
export function queueKeyOf(
  row: Pick<HeadRow, 'capability' | 'service_tier' | 'width' | 'height' | 'num_frames' | 'key_id'>,
): string {
  return `${row.capability} ${row.service_tier} ${row.width}x${row.height}x${row.num_frames} ${row.key_id}`
}
