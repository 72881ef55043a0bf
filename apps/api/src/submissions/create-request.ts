import { I2V_CONDITIONS, MODES } from '@sluice/shared/models/model'
import { AMOUNT_PATTERN, PRICE_MICROS_MAX, parseMicros } from '@sluice/shared/money'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { z } from 'zod'
import { inputImageSchema } from '../inputs/input-image.ts'
import { URL_CHARS_MAX } from '../outgoing/outgoing-url.ts'
import type { PriceTerms } from '../prices/price.ts'
import { text, textNotBlank } from '../text-field.ts'

const PROMPT_CHARS_MAX = 4_000
/** The end of the year 9999. */
const UNIX_SECONDS_MAX = 253_402_300_799
const EXPIRES_SECONDS = { min: 10, max: 259_200 }
/** `execution_expires_after` of a request that names none. */
const DEFAULT_EXPIRES_SECONDS: Record<ServiceTier, number> = {
  priority: 86_400,
  standard: 86_400,
  flex: 259_200,
}

/** No model takes more of any of its numbers; what it takes is checked with it. */
const PARAMETER_MAX = 100

const METADATA = { keysMax: 16, keyCharsMax: 64, valueCharsMax: 512 }

/** Zod silently drops the key __proto__ from records. */
function refusePrototype(value: unknown, check: z.core.$RefinementCtx): unknown {
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, '__proto__')) return value
  check.addIssue({ code: 'custom', message: 'an object without the key __proto__', input: value })
  return z.NEVER
}

export const promptSchema = textNotBlank(PROMPT_CHARS_MAX).meta({ description: 'What is to be seen.' })

/** What a JSON schema can say of which fields go together. */
const GO_TOGETHER = {
  dependentRequired: { i2v_condition: ['input_reference'] },
  if: { required: ['mode'], properties: { mode: { const: 'i2v' } } },
  // biome-ignore lint/suspicious/noThenProperty: a JSON schema calls it so
  then: { required: ['input_reference'] },
}

/**
 * The fields of POST /v1/videos, form fields typed already. What a model can make of them is checked in
 * generation-of.ts.
 */
export const createRequestSchema = z
  .strictObject({
    prompt: promptSchema,
    refine_prompt: z
      .boolean()
      .optional()
      .meta({
        description: 'Let another model write out the prompt first, where the operator has set one up.',
      }),
    model: text(100)
      .optional()
      .meta({ description: 'One of GET /v1/models; without it, the default model.', example: 'open-sora-2' }),
    seconds: z
      .union([
        z.string().meta({ pattern: '^\\d{1,6}(\\.\\d{1,20})?$' }),
        z.number().meta({ exclusiveMinimum: 0 }),
      ])
      .optional()
      .meta({
        description:
          'The length: a whole number n makes the fewest frames of the model that last n seconds; an exact length such as 5.375 those frames. Either this or num_frames.',
        example: '4',
      }),
    size: text(20)
      .optional()
      .meta({
        description:
          "WIDTHxHEIGHT, one of the model's sizes or by its size rule. Without it, the shape of the image, else 16:9.",
        pattern: '^\\d{1,5}x\\d{1,5}$',
        example: '336x192',
      }),
    num_frames: z
      .int()
      .optional()
      .meta({
        description: "By the model's frame rule (GET /v1/models); default: the model's.",
        minimum: 1,
        example: 129,
      }),
    num_steps: z
      .int()
      .optional()
      .meta({ description: "Within the model's steps; default: the model's.", minimum: 1, example: 50 }),
    guidance: z
      .number()
      .min(0)
      .max(PARAMETER_MAX)
      .optional()
      .meta({ description: "How closely it keeps to the prompt; default: the model's.", example: 7.5 }),
    guidance_img: z
      .number()
      .min(0)
      .max(PARAMETER_MAX)
      .optional()
      .meta({ description: "How closely it keeps to the image; default: the model's.", example: 3 }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .optional()
      .meta({ description: 'The same seed makes the same video; without it, a random one.' }),
    motion_score: z
      .int()
      .min(0)
      .max(PARAMETER_MAX)
      .optional()
      .meta({ description: "How much moves; default: the model's." }),
    negative_prompt: text(PROMPT_CHARS_MAX)
      .optional()
      .meta({ description: 'What is not to be seen.', example: 'text, watermark' }),
    mode: z
      .string()
      .optional()
      .meta({
        description:
          'i2v needs input_reference, which the other modes do not take. Without it, whichever fits.',
        enum: [...MODES],
      }),
    input_reference: inputImageSchema.optional(),
    i2v_condition: z
      .enum(I2V_CONDITIONS)
      .optional()
      .meta({
        description:
          "With input_reference alone: the video starts with the image (head), ends with it (tail) or both (loop); default: the model's first.",
      }),
    service_tier: z
      .enum(SERVICE_TIERS)
      .optional()
      .meta({ description: 'What it costs and how early it is served; default standard.' }),
    max_tokens: z
      .int()
      .min(1)
      .optional()
      .meta({
        description: 'Refuse the video when it would generate more tokens than this.',
        example: 1_000_000,
      }),
    max_cost: z
      .union([
        z.string().meta({ pattern: AMOUNT_PATTERN }),
        z.number().meta({ minimum: 0, exclusiveMaximum: 1e12 }),
      ])
      .transform(String)
      .refine(
        (value) => parseMicros(value) !== null,
        'a decimal number with at most six decimals, such as "0.25"',
      )
      .optional()
      .meta({
        description: 'Refuse the video when it would cost more than this; at most six decimals.',
        example: '0.25',
      }),
    max_price: z
      .union([
        z.string().meta({ pattern: AMOUNT_PATTERN }),
        z.number().meta({ minimum: 0, maximum: 1_000_000 }),
      ])
      .transform(String)
      .refine(
        (value) => (parseMicros(value) ?? PRICE_MICROS_MAX + 1n) <= PRICE_MICROS_MAX,
        'a decimal number from 0 to 1000000 with at most six decimals, such as "0.08"',
      )
      .optional()
      .meta({
        description:
          'With service_tier flex: what a million tokens may cost at most. It waits while flex costs more; that much is held, and charged is the price when it is dispatched.',
        example: '0.08',
      }),
    not_before: z
      .int()
      .min(0)
      .max(UNIX_SECONDS_MAX)
      .optional()
      .meta({
        description:
          'With service_tier flex: it is not dispatched before this time, in seconds since the Unix epoch; before execution_expires_after is over.',
      }),
    metadata: z
      .preprocess(
        refusePrototype,
        z
          .record(text(METADATA.keyCharsMax), text(METADATA.valueCharsMax))
          .refine(
            (value) => Object.keys(value).length <= METADATA.keysMax,
            `an object of at most ${METADATA.keysMax} keys`,
          )
          .meta({ maxProperties: METADATA.keysMax }),
      )
      .optional()
      .meta({ description: 'Shown on the video.', example: { shot: '12' } }),
    webhook_url: text(URL_CHARS_MAX)
      .optional()
      .meta({
        description:
          "Receives this video's end, as the account's endpoints do; signed with the account's webhook secret.",
        format: 'uri',
        example: 'https://example.com/hooks/sluice',
      }),
    execution_expires_after: z
      .int()
      .min(EXPIRES_SECONDS.min)
      .max(EXPIRES_SECONDS.max)
      .optional()
      .meta({
        description: 'Seconds until a video that nobody finished fails; default a day, three with flex.',
      }),
    deliver_by: z
      .int()
      .min(0)
      .max(UNIX_SECONDS_MAX)
      .optional()
      .meta({
        description:
          'Promise that it is completed by then, in seconds since the Unix epoch, or refuse it. When the promise is missed it costs no more than with flex. Not with flex; for accounts that the operator turned it on for.',
        example: 1_800_000_000,
      }),
    max_wait: z
      .int()
      .min(1)
      .max(EXPIRES_SECONDS.max)
      .optional()
      .meta({
        description: 'The same, as seconds from its submission on; either this or deliver_by.',
        example: 600,
      }),
  })
  .meta({ id: 'VideoRequest', ...GO_TOGETHER })
export type CreateRequest = z.infer<typeof createRequestSchema>

export function serviceTierOf(request: Pick<CreateRequest, 'service_tier'>): ServiceTier {
  return request.service_tier ?? 'standard'
}

/** What the request asks for of its price. */
export function priceTermsOf(request: Pick<CreateRequest, 'service_tier' | 'max_price'>): PriceTerms {
  const maxPriceMicros = request.max_price === undefined ? null : parseMicros(request.max_price)
  return { tier: serviceTierOf(request), maxPriceMicros }
}

/** How long the video may take before it expires. */
export function expiresSecondsOf(
  request: Pick<CreateRequest, 'service_tier' | 'execution_expires_after'>,
): number {
  return request.execution_expires_after ?? DEFAULT_EXPIRES_SECONDS[serviceTierOf(request)]
}
