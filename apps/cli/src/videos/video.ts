import { modelSchema as publicModelSchema } from '@sluice/shared/public-model'
import { quoteSchema as publicQuoteSchema } from '@sluice/shared/public-quote'
import { videoSchema as publicVideoSchema } from '@sluice/shared/public-video'
import { z } from 'zod'

/**
 * The fields of the API's video that the command line reads. The schema is loose, and what is only shown may
 * be missing, so that older and newer servers are understood; `--json` prints every field that came.
 */
export const videoSchema = publicVideoSchema
  .pick({
    id: true,
    status: true,
    progress: true,
    model: true,
    size: true,
    seconds: true,
    error: true,
    usage: true,
    cost: true,
    queue_position: true,
    eta_seconds: true,
    promise: true,
    waits_for: true,
    not_before: true,
  })
  .partial({
    error: true,
    usage: true,
    cost: true,
    queue_position: true,
    eta_seconds: true,
    promise: true,
    waits_for: true,
    not_before: true,
  })
  .loose()
export type Video = z.output<typeof videoSchema>

/** The API's quote; fields of newer servers pass. */
export const quoteSchema = publicQuoteSchema.partial({ promise: true, flex: true }).loose()
export type Quote = z.output<typeof quoteSchema>

/** The API's list of models; fields of newer servers pass. */
export const modelListSchema = z.object({ data: z.array(publicModelSchema.loose()) })
export type Model = z.output<typeof modelListSchema>['data'][number]

/** What POST /v1/videos takes. Only what the user named is sent; for the rest the API's defaults apply. */
export interface VideoRequest {
  prompt: string
  refine_prompt?: boolean
  model?: string
  size?: string
  seconds?: string
  num_frames?: number
  num_steps?: number
  guidance?: number
  seed?: number
  negative_prompt?: string
  max_tokens?: number
  max_cost?: string
  service_tier?: string
  max_price?: string
  not_before?: number
  deliver_by?: number
  max_wait?: number
}

/** True when the video will not change any more. */
export function isDone(video: Video): boolean {
  return video.status === 'completed' || video.status === 'failed'
}

/** A cancelled video reads as failed, because SDKs end their poll on no other word. */
export function isCancelled(video: Video): boolean {
  return video.status === 'failed' && video.error?.code === 'cancelled'
}

/** `the prompt is too long [bad_input]`: why a video failed. */
export function failureText(video: Video): string {
  return video.error ? `${video.error.message} [${video.error.code}]` : 'no reason given'
}
