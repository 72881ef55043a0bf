import { I2V_CONDITIONS } from '@sluice/shared/model-catalogue'
import { parseMicros } from '@sluice/shared/money'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { z } from 'zod'
import { inputImageSchema } from '../inputs/input-image.ts'
import { URL_CHARS_MAX } from '../outgoing/outgoing-url.ts'
import { text } from '../text-field.ts'

const PROMPT_CHARS_MAX = 4_000
const EXPIRES_SECONDS = { min: 10, max: 259_200 }
/** `execution_expires_after` of a request that names none. */
const DEFAULT_EXPIRES_SECONDS: Record<ServiceTier, number> = {
  priority: 86_400,
  standard: 86_400,
  flex: 259_200,
}

const METADATA = { keysMax: 16, keyCharsMax: 64, valueCharsMax: 512 }

/** Zod silently drops the key __proto__ from records. */
function refusePrototype(value: unknown, check: z.core.$RefinementCtx): unknown {
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, '__proto__')) return value
  check.addIssue({ code: 'custom', message: 'an object without the key __proto__', input: value })
  return z.NEVER
}

export const promptSchema = text(PROMPT_CHARS_MAX).refine(
  (value) => value.trim() !== '',
  'text that is not blank',
)

/**
 * The fields of POST /v1/videos, form fields typed already. What a model can make of them is checked in
 * generation-of.ts.
 */
export const createRequestSchema = z.strictObject({
  prompt: promptSchema,
  refine_prompt: z
    .boolean()
    .optional()
    .meta({
      description: 'Let another model write out the prompt first, where the operator has set one up.',
    }),
  model: text(100).optional(),
  seconds: z.union([z.string(), z.number()]).optional(),
  size: text(20).optional(),
  num_frames: z.int().optional(),
  num_steps: z.int().optional(),
  guidance: z.number().min(0).max(30).optional(),
  guidance_img: z.number().min(0).max(30).optional(),
  seed: z.int().min(0).max(2_147_483_647).optional(),
  motion_score: z.int().min(1).max(7).optional(),
  negative_prompt: text(PROMPT_CHARS_MAX).optional(),
  mode: z.string().optional(),
  input_reference: inputImageSchema.optional(),
  i2v_condition: z.enum(I2V_CONDITIONS).optional(),
  service_tier: z.enum(SERVICE_TIERS).optional(),
  max_tokens: z.int().min(1).optional(),
  max_cost: z
    .union([z.string(), z.number()])
    .transform(String)
    .refine(
      (value) => parseMicros(value) !== null,
      'a decimal number with at most six decimals, such as "0.25"',
    )
    .optional(),
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
    .optional(),
  webhook_url: text(URL_CHARS_MAX)
    .optional()
    .meta({
      description:
        "Receives this video's end, as the account's endpoints do; signed with the account's webhook secret.",
    }),
  execution_expires_after: z.int().min(EXPIRES_SECONDS.min).max(EXPIRES_SECONDS.max).optional(),
})
export type CreateRequest = z.infer<typeof createRequestSchema>

export function serviceTierOf(request: Pick<CreateRequest, 'service_tier'>): ServiceTier {
  return request.service_tier ?? 'standard'
}

/** How long the video may take before it expires. */
export function expiresSecondsOf(
  request: Pick<CreateRequest, 'service_tier' | 'execution_expires_after'>,
): number {
  return request.execution_expires_after ?? DEFAULT_EXPIRES_SECONDS[serviceTierOf(request)]
}
