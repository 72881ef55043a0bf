import type { Generation } from '@sluice/shared/generation'
import type { Refinement } from '@sluice/shared/public-video'
import type { ServiceTier } from '@sluice/shared/service-tier'

/** Internal states. The public word for dispatched and running is in_progress; a cancelled video reads failed. */
export const VIDEO_STATUSES = ['queued', 'dispatched', 'running', 'completed', 'failed', 'cancelled'] as const
export type VideoStatus = (typeof VIDEO_STATUSES)[number]

/** A row of table video, named as its columns are. */
export interface Video {
  id: string
  account_id: string
  key_id: string
  status: VideoStatus
  model: string
  /** What a worker must offer to make it. */
  capability: string
  service_tier: ServiceTier
  resolution: string
  width: number
  height: number
  num_frames: number
  num_steps: number
  request: Generation
  metadata: Record<string, string>
  remixed_from_video_id: string | null
  webhook_url: string | null
  retried_from_video_id: string | null
  refinement: Refinement | null
  original_prompt: string | null
  idempotency_key: string | null
  request_hash: Buffer
  video_tokens: bigint
  currency: string
  price_micros_per_million: bigint
  multiplier_bps: number
  hold_micros: bigint
  /** The interval whose budget of its key the tokens were taken from; null = the key had no budget. */
  budget_starts_at: Date | null
  charged_micros: bigint | null
  charged_steps: number | null
  fence: number
  pool: string | null
  step: number
  failures_in_a_row: number
  cancel_requested_at: Date | null
  cancel_step: number | null
  yield_requested_at: Date | null
  checkpoint_key: string | null
  checkpoint_step: number | null
  output_prefix: string | null
  error_code: string | null
  error_message: string | null
  created_at: Date
  started_at: Date | null
  ended_at: Date | null
  deleted_at: Date | null
  swept_at: Date | null
  /** The image it was made from lies in the store. */
  input_kept: boolean
  retention_seconds: number | null
  expires_at: Date | null
  files_removed_at: Date | null
  execution_expires_at: Date
}

/** Everything an attempt writes lies below this prefix, and nobody else's. */
export function attemptPrefix(videoId: string, fence: number, claim: string): string {
  return `videos/${videoId}/${fence}-${claim}`
}

/** File names below an attempt's prefix. */
export const OUTPUT_FILES = {
  video: 'video.mp4',
  thumbnail: 'thumbnail.webp',
  spritesheet: 'spritesheet.jpg',
  checkpoint: 'checkpoint/latest.bin',
  result: 'result.json',
} as const
