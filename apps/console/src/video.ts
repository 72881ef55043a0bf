/** A video as the API answers it. */
export interface Video {
  id: string
  object: 'video'
  model: string
  status: 'queued' | 'in_progress' | 'completed' | 'failed'
  /** Percent, 0-100. */
  progress: number
  /** Unix seconds. */
  created_at: number
  completed_at: number | null
  prompt: string
  /** `"336x192"` */
  size: string
  /** Decimal string. */
  seconds: string
  num_frames: number
  num_steps: number
  seed: number
  /** What is charged: of all steps until it ends, then of the steps that are paid for. */
  usage: { video_tokens: number; steps: number; generated_tokens: number }
  /** `amount` is a decimal string. */
  cost: { amount: string; currency: string; state: 'held' | 'charged' | 'released' }
  /** 1 = next; null when it does not wait in line. */
  queue_position: number | null
  /** Seconds until it is done, or null when nothing is known yet. */
  eta_seconds: { p50: number; p90: number } | null
  error: { code: string; message: string } | null
}

/** What the page asks for. */
export interface VideoRequest {
  prompt: string
  size: string
  num_frames: number
  num_steps: number
  seed?: number
  model?: string
  /** A data URL of the image it starts with. */
  input_reference?: string
}

export type VideoVariant = 'video' | 'thumbnail'

/** A signed URL of a video's bytes; `expires_at` in Unix seconds. */
export interface VideoContent {
  url: string
  expires_at: number
}

/** True once nothing about the video will change any more. */
export function isFinished(video: Video): boolean {
  return video.status === 'completed' || video.status === 'failed'
}

/** A cancelled video reads `failed`, since clients of the OpenAI Videos API know no other word. */
export function isCancelled(video: Video): boolean {
  return video.status === 'failed' && video.error?.code === 'cancelled'
}

/** Width and height in pixels of `"336x192"`; 16:9 when the text is anything else. */
export function frameSize(video: Video): { width: number; height: number } {
  const match = /^(\d+)x(\d+)$/.exec(video.size)
  const width = Number(match?.[1])
  const height = Number(match?.[2])
  return width > 0 && height > 0 ? { width, height } : { width: 16, height: 9 }
}
