import type { Generation } from '@sluice/shared/generation'
import type { PublicPromise, Refinement, WaitsFor } from '@sluice/shared/public-video'
import type { ServiceTier } from '@sluice/shared/service-tier'

/** The states of a video that has not ended. */
const UNFINISHED_STATUSES = ['queued', 'dispatched', 'running'] as const

/** Internal states. Clients see `in_progress` for dispatched and running, and `failed` for cancelled. */
export const VIDEO_STATUSES = [...UNFINISHED_STATUSES, 'completed', 'failed', 'cancelled'] as const
export type VideoStatus = (typeof VIDEO_STATUSES)[number]

/** Whether a video has not ended. */
export function isUnfinished({ status }: Pick<Video, 'status'>): boolean {
  return UNFINISHED_STATUSES.some((unfinished) => unfinished === status)
}

/** The same as SQL. Written into the statement, since the index `video_expiring` is on these values. */
export const IS_UNFINISHED_SQL = `status in ('${UNFINISHED_STATUSES.join(`', '`)}')`

/**
 * What became of the promise that a video is completed by its `deliver_by`. `void`: its owner cancelled it
 * before.
 */
export type PromiseState = PublicPromise['state']

/** A row of table video, named as its columns are. */
export interface Video {
  id: string
  account_id: string
  key_id: string
  status: VideoStatus
  model: string
  /** What a worker must serve to make it. */
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
  /** What it is charged by; of a flex video that was never dispatched, the highest that it may be. */
  multiplier_bps: number
  hold_micros: bigint
  /** Of a flex video: the most that a million tokens may cost; null = any price, up to what is held. */
  max_price_micros: bigint | null
  /** Of a flex video: it is not dispatched before this. */
  not_before: Date | null
  /** Why a queued video may not be dispatched yet; null = it may. */
  waits_for: WaitsFor | null
  /** Start of the budget interval that its tokens were taken from; null when its key had no budget. */
  budget_starts_at: Date | null
  /** What it cost in the end: less what was given back. */
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
  /** Since it ended or was deleted. */
  swept_at: Date | null
  /** Since no signed URL of its attempts is good any more. */
  swept_for_good_at: Date | null
  /** Whether its input image lies in the store. */
  input_kept: boolean
  retention_seconds: number | null
  expires_at: Date | null
  files_removed_at: Date | null
  execution_expires_at: Date
  /** By when it was promised to be completed; null = nothing was promised. */
  deliver_by: Date | null
  promise: PromiseState | null
  /** The multiplier that it is charged by when its promise is missed. */
  missed_multiplier_bps: number | null
  /** Given back of what it was charged. */
  rebate_micros: bigint
}

/** What of a video may change after its submission; all else is frozen into it. */
export const CHANGING_COLUMNS = [
  'status',
  'multiplier_bps',
  'waits_for',
  'fence',
  'pool',
  'step',
  'failures_in_a_row',
  'cancel_requested_at',
  'cancel_step',
  'yield_requested_at',
  'checkpoint_key',
  'checkpoint_step',
  'output_prefix',
  'error_code',
  'error_message',
  'charged_micros',
  'charged_steps',
  'started_at',
  'ended_at',
  'expires_at',
  'deleted_at',
  'files_removed_at',
  'promise',
  'rebate_micros',
] as const satisfies readonly (keyof Video)[]

/** Key prefix of everything stored of a video but its input image. */
export function videoPrefix(videoId: string): string {
  return `videos/${videoId}`
}

/** Key prefix of what one start of an attempt writes. No other start writes below it. */
export function attemptPrefix(videoId: string, fence: number, claim: string): string {
  return `${videoPrefix(videoId)}/${fence}-${claim}`
}

/** Key prefix of what is served of a completed video: copies of what one start of an attempt made. */
export function outputPrefix(videoId: string, fence: number, claim: string): string {
  return `${videoPrefix(videoId)}/output-${fence}-${claim}`
}

/** Which start of an attempt writes an object; null for a key that none writes. */
export function attemptOfKey(key: string): { video: string; fence: number; claim: string } | null {
  const [, video, fence, claim] = /^videos\/([^/]+)\/(\d{1,9})-([0-9a-f]{32})\//.exec(key) ?? []
  if (video === undefined || fence === undefined || claim === undefined) return null
  return { video, fence: Number(fence), claim }
}

/** File names below an attempt's prefix. */
export const OUTPUT_FILES = {
  video: 'video.mp4',
  thumbnail: 'thumbnail.webp',
  spritesheet: 'spritesheet.jpg',
  checkpoint: 'checkpoint/latest.bin',
  result: 'result.json',
} as const
