import { unixSeconds } from '@sluice/shared/clock'
import { formatSeconds } from '@sluice/shared/models/frame-rule'
import { formatSize } from '@sluice/shared/models/sizes'
import { formatMicros } from '@sluice/shared/money'
import type { PublicVideo } from '@sluice/shared/public-video'
import type { Forecast } from '../../forecast/forecast.ts'
import { priceAt } from '../../prices/flex-tariff.ts'
import type { Video, VideoStatus } from '../../videos/video.ts'
import { moneyJson } from '../money-json.ts'

/** The word clients see for each state. */
export const PUBLIC_STATUS: Record<VideoStatus, PublicVideo['status']> = {
  queued: 'queued',
  dispatched: 'in_progress',
  running: 'in_progress',
  completed: 'completed',
  failed: 'failed',
  // Clients end their poll on any other word, so a cancelled video reads failed with the code that says so.
  cancelled: 'failed',
}

/** The video object clients see: the OpenAI Videos API's, and what this service adds. */
export function videoJson(video: Video, forecast: Forecast | null): PublicVideo {
  const steps = video.charged_steps ?? video.num_steps
  return {
    id: video.id,
    object: 'video',
    model: video.model,
    status: PUBLIC_STATUS[video.status],
    progress: progressOf(video),
    created_at: unixSeconds(video.created_at),
    completed_at: video.status === 'completed' ? unixSeconds(video.ended_at) : null,
    expires_at: unixSeconds(video.expires_at),
    prompt: video.original_prompt ?? video.request.prompt,
    refined_prompt: video.original_prompt === null ? null : video.request.prompt,
    refinement: video.refinement,
    remixed_from_video_id: video.remixed_from_video_id,
    retried_from: video.retried_from_video_id,
    seconds: formatSeconds(video.num_frames, video.request.fps),
    size: formatSize(video),
    error: video.error_code === null ? null : { code: video.error_code, message: video.error_message ?? '' },
    mode: video.request.mode,
    i2v_condition: video.request.mode === 'i2v' ? (video.request.i2v_condition ?? 'head') : null,
    num_frames: video.num_frames,
    num_steps: video.num_steps,
    steps_done: video.step,
    guidance: video.request.guidance ?? null,
    guidance_img: video.request.guidance_img ?? null,
    motion_score: video.request.motion_score ?? null,
    negative_prompt: video.request.negative_prompt,
    seed: video.request.seed,
    service_tier: video.service_tier,
    max_price: video.max_price_micros === null ? null : formatMicros(video.max_price_micros),
    not_before: unixSeconds(video.not_before),
    waits_for: video.ended_at === null ? video.waits_for : null,
    price_per_million: pricePerMillion(video),
    metadata: video.metadata,
    webhook_url: video.webhook_url,
    usage: {
      video_tokens: Number(video.video_tokens),
      steps,
      generated_tokens: Number(video.video_tokens * BigInt(steps)),
    },
    cost: costJson(video),
    promise: promiseJson(video),
    queue_position: forecast?.position ?? null,
    eta_seconds: forecast?.etaSeconds ?? null,
  }
}

/** Null as long as a flex video has no price: that of its first dispatch. */
function pricePerMillion(video: Video): string | null {
  if (video.service_tier === 'flex' && video.fence === 0) return null
  return formatMicros(priceAt(video.price_micros_per_million, video.multiplier_bps))
}

function costJson(video: Video): PublicVideo['cost'] {
  if (video.charged_micros === null)
    return { amount: formatMicros(video.hold_micros), currency: video.currency, state: 'held' }
  const isCharged = video.status === 'completed' || video.charged_micros > 0n
  return {
    amount: formatMicros(video.charged_micros),
    currency: video.currency,
    state: isCharged ? 'charged' : 'released',
  }
}

function promiseJson(video: Video): PublicVideo['promise'] {
  if (video.promise === null || video.deliver_by === null) return null
  return {
    deliver_by: unixSeconds(video.deliver_by),
    state: video.promise,
    credit: moneyJson(video.rebate_micros, video.currency),
  }
}

/** Whole percent of the steps; 100 only once the file is there. */
function progressOf(video: Video): number {
  if (video.status === 'completed') return 100
  return Math.min(99, Math.floor((video.step * 100) / video.num_steps))
}
