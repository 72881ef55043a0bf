import type { PublicVideo } from '@sluice/shared/public-video'
import type { ServiceTier } from '@sluice/shared/service-tier'

/** The body of `POST /v1/videos`, as far as the page fills it in. */
export interface VideoRequest {
  prompt: string
  size?: string
  num_frames?: number
  num_steps?: number
  guidance?: number
  seed?: number
  model?: string
  service_tier?: ServiceTier
  /** A data URL of the image the video starts with. */
  input_reference?: string
}

export type VideoVariant = 'video' | 'thumbnail' | 'input_reference'

/** A signed URL of a video's bytes; `expires_at` in Unix seconds. */
export interface VideoContent {
  url: string
  expires_at: number
}

/** True when nothing about the video can change any more. */
export function isFinished(video: PublicVideo): boolean {
  return video.status === 'completed' || video.status === 'failed'
}

/** A cancelled video reads `failed`: the OpenAI Videos API has no status of its own for it. */
export function isCancelled(video: Pick<PublicVideo, 'status' | 'error'>): boolean {
  return video.status === 'failed' && video.error?.code === 'cancelled'
}

/** Width and height in pixels of `"336x192"`; 16:9 when the text is anything else. */
export function frameSize(video: PublicVideo): { width: number; height: number } {
  const match = /^(\d+)x(\d+)$/.exec(video.size)
  const width = Number(match?.[1])
  const height = Number(match?.[2])
  return width > 0 && height > 0 ? { width, height } : { width: 16, height: 9 }
}
