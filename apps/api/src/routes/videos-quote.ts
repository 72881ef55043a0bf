import { formatSeconds, formatSize } from '@sluice/shared/model-catalogue'
import { formatMicros } from '@sluice/shared/money'
import { etaSchema, moneySchema, usageSchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { accountRoute } from '../http/route.ts'
import type { Priced } from '../prices/price.ts'
import { createRequestSchema } from '../submissions/create-request.ts'
import { quoteVideo } from '../submissions/quote.ts'

const quoteSchema = z
  .object({
    object: z.literal('video.quote'),
    model: z.string(),
    size: z.string(),
    seconds: z.string(),
    num_frames: z.int(),
    num_steps: z.int(),
    service_tier: z.string(),
    usage: usageSchema,
    cost: moneySchema.meta({ description: 'Exactly what a submission would hold.' }),
    price: z.object({
      per_million_tokens: z.string().meta({ description: 'In the currency of cost.', example: '0.2' }),
      multiplier: z.string().meta({ description: 'Of the service tier.', example: '1.5' }),
    }),
    queue_position: z
      .int()
      .nullable()
      .meta({ description: 'Were it submitted now: 1 = next; null when its line is too long to foresee.' }),
    eta_seconds: etaSchema,
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

export const quoteAccountVideo = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/videos/quote',
    operationId: 'quoteVideo',
    tag: 'videos',
    summary: 'What a video would cost',
    description:
      'Takes the body of a submission and answers what it would hold and how long it would take. Nothing is held or stored.',
    body: createRequestSchema,
    takesImage: true,
    example: { prompt: 'a paper boat in the rain', size: '1024x576', max_cost: '0.5' },
    answers: { 200: { description: 'The quote.', schema: quoteSchema } },
    errors: ['model_not_allowed', 'unavailable'],
  },
  async ({ context, key, body, response }) => {
    const quote = await quoteVideo(context, key, body)
    const { generation, priced, largest } = quote
    const { currency } = context.config
    const settingsJson = (
      clip: { width: number; height: number },
      num_frames: number,
      num_steps: number,
      price: Priced,
    ) => ({
      size: formatSize(clip),
      seconds: formatSeconds(num_frames, generation.fps),
      num_frames,
      num_steps,
      usage: {
        video_tokens: Number(price.videoTokens),
        steps: num_steps,
        generated_tokens: Number(price.tokens),
      },
      cost: { amount: formatMicros(price.costMicros), currency },
    })
    response.json({
      object: 'video.quote',
      model: generation.model,
      ...settingsJson(generation, generation.num_frames, generation.num_steps, priced),
      service_tier: body.service_tier ?? 'standard',
      price: {
        per_million_tokens: formatMicros(priced.priceMicrosPerMillion),
        // Basis points are hundredths of micro-units: the same decimal, exactly.
        multiplier: formatMicros(BigInt(priced.multiplierBps) * 100n),
      },
      queue_position: quote.forecast?.position ?? null,
      eta_seconds: quote.forecast?.etaSeconds ?? null,
      affordable: quote.isAffordable,
      within_limits: quote.isWithinLimits,
      largest:
        largest === null
          ? null
          : settingsJson(
              largest.settings.size,
              largest.settings.num_frames,
              largest.settings.num_steps,
              largest.priced,
            ),
    })
  },
)
