import { z } from 'zod'
import { etaSchema, moneySchema, usageSchema, WAITS_FOR } from './public-video.ts'
import { SERVICE_TIERS } from './service-tier.ts'

/** The answer of POST /v1/videos/quote: what a submission would cost and how long it would take. */
export const quoteSchema = z
  .object({
    object: z.literal('video.quote'),
    model: z.string(),
    size: z.string(),
    seconds: z.string(),
    num_frames: z.int(),
    num_steps: z.int(),
    service_tier: z.string(),
    usage: usageSchema,
    cost: moneySchema.meta({ description: 'Exactly what a submission would hold: the most it costs.' }),
    price: z.object({
      per_million_tokens: z.string().meta({ description: 'In the currency of cost.', example: '0.2' }),
      multiplier: z
        .string()
        .meta({ description: 'Of the service tier; of flex the highest that it comes to.', example: '1.5' }),
    }),
    flex: z
      .object({
        price_per_million: z
          .string()
          .meta({ description: 'What a million tokens cost in flex now, in the currency of cost.' }),
        cost: moneySchema.meta({ description: 'What it would cost at that price.' }),
        waits_for: z
          .enum(WAITS_FOR)
          .nullable()
          .meta({ description: 'Why it would not be dispatched at once; null = it may be.' }),
        starts_at: z
          .int()
          .nullable()
          .meta({
            description:
              'When it may be dispatched at the earliest, in seconds since the Unix epoch; null when that depends on utilisation.',
          }),
      })
      .nullable()
      .meta({ description: 'Of flex, whose price is that of its dispatch; null in other tiers.' }),
    queue_position: z
      .int()
      .nullable()
      .meta({ description: 'If it were submitted now: 1 = next; null when too many wait for a forecast.' }),
    eta_seconds: etaSchema,
    promise: z
      .object({
        deliver_by: z.int().meta({ description: 'Seconds since the Unix epoch.' }),
        can_be_kept: z
          .boolean()
          .meta({
            description: 'In the tier asked for; a submission whose promise cannot be kept is a 409.',
          }),
        service_tier: z
          .enum(SERVICE_TIERS)
          .nullable()
          .meta({ description: 'The cheapest that can keep it; null when none can.' }),
        tiers: z.array(
          z.object({
            service_tier: z.enum(SERVICE_TIERS),
            can_be_kept: z
              .boolean()
              .meta({ description: 'The p90 of its time is no later than deliver_by.' }),
            eta_seconds: etaSchema,
            cost: moneySchema,
            credit_if_missed: moneySchema.meta({
              description: 'Given back of a completed video that comes too late.',
            }),
          }),
        ),
      })
      .nullable()
      .meta({ description: 'Of a request with deliver_by or max_wait.' }),
    affordable: z.boolean().meta({ description: 'The balance and the budget of the key cover it.' }),
    within_limits: z
      .boolean()
      .meta({ description: 'max_tokens and max_cost allow it; a submission that they forbid is a 400.' }),
    largest: z
      .object({
        size: z.string(),
        seconds: z.string(),
        num_frames: z.int(),
        num_steps: z.int(),
        usage: usageSchema,
        cost: moneySchema,
      })
      .nullable()
      .meta({
        description:
          'When max_tokens or max_cost is too small: the largest settings that fit, by fewer steps, then fewer frames, then the smaller size of the same shape. Null when it fits as asked, or nothing fits.',
      }),
  })
  .meta({ id: 'Quote' })
/** A quote as the API answers it. */
export type PublicQuote = z.output<typeof quoteSchema>
