import type { HeadRow } from '@sluice/gate/head-row'
import type { Video } from '../videos/video.ts'
import type { GateStanding } from '../videos/video-store.ts'

/**
 * What the gate would read of a video that was queued just now and waits for nothing, made of what was
 * written; HEAD_COLUMNS say the same in SQL. Its times count from when it was created.
 */
export function toldHead(video: Video, standing: GateStanding): HeadRow {
  return {
    ...standing,
    id: video.id,
    account_id: video.account_id,
    key_id: video.key_id,
    service_tier: video.service_tier,
    model: video.model,
    capability: video.capability,
    resolution: video.resolution,
    width: video.width,
    height: video.height,
    num_frames: video.num_frames,
    num_steps: video.num_steps,
    video_tokens: video.video_tokens,
    checkpoint_step: null,
    expires_in_ms: video.execution_expires_at.getTime() - video.created_at.getTime(),
    multiplier_bps_max: video.max_price_micros === null ? null : video.multiplier_bps,
    not_before_in_ms: Math.max(0, (video.not_before?.getTime() ?? 0) - video.created_at.getTime()),
    passed_over_ms: null,
  }
}
