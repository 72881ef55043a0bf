import { z } from 'zod'
import { I2V_CONDITIONS } from './models/model.ts'
import { SERVICE_TIERS } from './service-tier.ts'

/**
 * The outcome of a refinement that was asked for: used, not available in time, or refused by moderation. In
 * the last two cases the prompt is used as it was given.
 */
const REFINEMENTS = ['refined', 'unavailable', 'refused'] as const
export type Refinement = (typeof REFINEMENTS)[number]

/** What a queued flex video may wait for before it may be dispatched. */
export const WAITS_FOR = ['not_before', 'price'] as const
export type WaitsFor = (typeof WAITS_FOR)[number]

const unixTime = z.int().meta({ description: 'Seconds since the Unix epoch.' })

export const moneySchema = z
  .object({
    amount: z.string().meta({ description: 'A decimal number, exact.', example: '0.08316' }),
    currency: z.string().meta({ example: 'USD' }),
  })
  .meta({ id: 'Money' })

export const usageSchema = z
  .object({
    video_tokens: z.int().meta({ description: "By the model's token rule: GET /v1/models." }),
    steps: z.int().meta({ description: 'Steps asked for; once ended, steps charged.' }),
    generated_tokens: z.int().meta({ description: 'video_tokens * steps: what is charged.' }),
  })
  .meta({ id: 'Usage' })

export const etaSchema = z.object({ p50: z.number(), p90: z.number() }).nullable()

/** What was promised of when a video comes, and what became of it. */
const promiseSchema = z
  .object({
    deliver_by: unixTime,
    state: z
      .enum(['given', 'kept', 'missed', 'void'])
      .meta({
        description:
          'given until it is completed in time (kept) or the time has passed (missed); void: cancelled before.',
      }),
    credit: moneySchema.meta({
      description:
        'Once it has ended late: what was given back of its price, as rebate in the ledger. Its cost is without it.',
    }),
  })
  .meta({ id: 'PromisedTime' })
export type PublicPromise = z.output<typeof promiseSchema>

/**
 * API answers are typed by this schema, the command line parses with it, the console reads videos by its
 * type.
 */
export const videoSchema = z
  .object({
    id: z.string().meta({ example: 'video_01m84f0j8df20bh2fw7sqrp04k' }),
    object: z.literal('video'),
    model: z.string(),
    status: z
      .enum(['queued', 'in_progress', 'completed', 'failed'])
      .meta({ description: 'A cancelled video reads failed, with error.code = "cancelled".' }),
    progress: z
      .int()
      .min(0)
      .max(100)
      .meta({ description: 'Percent of the steps; 100 once the file is there.' }),
    created_at: unixTime,
    completed_at: unixTime.nullable(),
    expires_at: unixTime
      .nullable()
      .meta({ description: 'When the files are removed; null when they are kept.' }),
    prompt: z.string().meta({ description: 'As it was given.' }),
    refined_prompt: z
      .string()
      .nullable()
      .meta({ description: 'What the runner was given, when a refinement was asked for and used.' }),
    refinement: z
      .enum(REFINEMENTS)
      .nullable()
      .meta({
        description:
          'How a refinement that was asked for went: unavailable and refused mean that the prompt was used as given.',
      }),
    remixed_from_video_id: z.string().nullable(),
    retried_from: z
      .string()
      .nullable()
      .meta({ description: 'The failed or cancelled video this one makes again.' }),
    seconds: z.string().meta({ description: 'The real length.', example: '5.375' }),
    size: z.string().meta({ description: 'The real size, WIDTHxHEIGHT.', example: '336x192' }),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    mode: z.string(),
    i2v_condition: z
      .enum(I2V_CONDITIONS)
      .nullable()
      .meta({ description: 'Where the image of mode i2v stands; null in other modes.' }),
    num_frames: z.int(),
    num_steps: z.int(),
    steps_done: z.int(),
    guidance: z.number().nullable().meta({ description: 'Null when the model takes none.' }),
    guidance_img: z.number().nullable(),
    motion_score: z.int().nullable(),
    negative_prompt: z.string(),
    seed: z.int(),
    service_tier: z.enum(SERVICE_TIERS),
    max_price: z
      .string()
      .nullable()
      .meta({
        description: 'Of flex: what a million tokens may cost at most; null = no maximum of its own.',
      }),
    not_before: unixTime.nullable().meta({ description: 'Of flex: it is not dispatched before this.' }),
    waits_for: z
      .enum(WAITS_FOR)
      .nullable()
      .meta({
        description:
          'Why a queued flex video may not be dispatched yet: its time, or a price within max_price. Null = it may.',
      }),
    price_per_million: z
      .string()
      .nullable()
      .meta({
        description:
          'What a million of its tokens cost, in the currency of cost; null of a flex video that was not dispatched yet: the price is that of its first dispatch.',
        example: '0.1',
      }),
    metadata: z.record(z.string(), z.string()),
    webhook_url: z.string().nullable().meta({ description: 'Where its end is sent, as it was given.' }),
    usage: usageSchema,
    cost: moneySchema.extend({ state: z.enum(['held', 'charged', 'released']) }).meta({ id: 'Cost' }),
    promise: promiseSchema
      .nullable()
      .meta({ description: 'Of a video submitted with deliver_by or max_wait.' }),
    queue_position: z
      .int()
      .nullable()
      .meta({ description: '1 = next; null when it is not queued, or waits for its time or its price.' }),
    eta_seconds: etaSchema,
  })
  .meta({ id: 'Video' })
/** A video as the API answers it: the object of the OpenAI Videos API, and what this service adds. */
export type PublicVideo = z.output<typeof videoSchema>
