import { z } from 'zod'

/** Counts may come as numbers or, beyond 2^53, as decimal strings; here they are only shown. */
const countSchema = z.union([z.number(), z.string()]).transform(String)

export const videoSchema = z.looseObject({
  id: z.string(),
  status: z.enum(['queued', 'in_progress', 'completed', 'failed']),
  /** Percent. */
  progress: z.number(),
  model: z.string(),
  size: z.string(),
  /** Seconds, as a decimal string. */
  seconds: z.string(),
  error: z.object({ code: z.string(), message: z.string() }).nullish(),
  usage: z.object({ video_tokens: countSchema, steps: z.number(), generated_tokens: countSchema }).nullish(),
  cost: z
    .object({ amount: z.string(), currency: z.string(), state: z.enum(['held', 'charged', 'released']) })
    .nullish(),
  queue_position: z.number().nullish(),
  /** Seconds until it is done; half of all videos need at most p50, nine in ten at most p90. */
  eta_seconds: z.object({ p50: z.number(), p90: z.number() }).nullish(),
})
/** A video as the API answers it (the OpenAI Videos API's object with this service's additions). */
export type Video = z.infer<typeof videoSchema>

/** What POST /v1/videos takes; only what the user named is sent, the rest is the API's default. */
export interface VideoRequest {
  prompt: string
  refine_prompt?: boolean
  model?: string
  size?: string
  seconds?: string
  num_frames?: number
  num_steps?: number
  seed?: number
  negative_prompt?: string
  max_tokens?: number
  max_cost?: string
  service_tier?: string
}

const moneySchema = z.object({ amount: z.string(), currency: z.string() })
const usageSchema = z.object({ video_tokens: countSchema, steps: z.number(), generated_tokens: countSchema })

export const quoteSchema = z.looseObject({
  model: z.string(),
  size: z.string(),
  seconds: z.string(),
  num_frames: z.number(),
  num_steps: z.number(),
  usage: usageSchema,
  cost: moneySchema,
  price: z.object({ per_million_tokens: z.string(), multiplier: z.string() }),
  queue_position: z.number().nullable(),
  eta_seconds: z.object({ p50: z.number(), p90: z.number() }).nullable(),
  affordable: z.boolean(),
  within_limits: z.boolean(),
  /** What --max-tokens and --max-cost would allow, when they don't allow what was asked. */
  largest: z
    .looseObject({
      size: z.string(),
      seconds: z.string(),
      num_frames: z.number(),
      num_steps: z.number(),
      usage: usageSchema,
      cost: moneySchema,
    })
    .nullable(),
})
/** A quote as the API answers it. */
export type Quote = z.infer<typeof quoteSchema>

/** True when nothing more will happen to it. */
export function isDone(video: Video): boolean {
  return video.status === 'completed' || video.status === 'failed'
}
