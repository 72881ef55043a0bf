import { unixSeconds } from '@sluice/shared/clock'
import { formatSeconds } from '@sluice/shared/models/frame-rule'
import { formatSize } from '@sluice/shared/models/sizes'
import { formatMicros } from '@sluice/shared/money'
import { type PublicQuote, quoteSchema } from '@sluice/shared/public-quote'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { accountRoute } from '../../http/route.ts'
import { priceAt } from '../../prices/flex-tariff.ts'
import type { Priced } from '../../prices/price.ts'
import { createRequestSchema, serviceTierOf } from '../../submissions/create-request.ts'
import { OTHER_NAMES } from '../../submissions/other-names.ts'
import type { PromiseOutlook } from '../../submissions/promised-time.ts'
import { type Quote, quoteVideo } from '../../submissions/quote.ts'
import { moneyJson } from '../money-json.ts'
import { imageUpload } from './image-upload.ts'

export const quoteVideoRoute = accountRoute(
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
    upload: imageUpload,
    otherNames: OTHER_NAMES,
    example: { prompt: 'a paper boat in the rain', size: '1024x576', max_cost: '0.5' },
    isLong: true,
    answers: { 200: { description: 'The quote.', schema: quoteSchema } },
    errors: ['model_not_allowed', 'max_price_too_small', 'promises_off', 'unavailable'],
  },
  async ({ context, key, body }) => {
    const quote = await quoteVideo(context, key, body)
    return quoteJson(quote, serviceTierOf(body), context.config.currency)
  },
)

function quoteJson(quote: Quote, tier: ServiceTier, currency: string): PublicQuote {
  const { generation, priced, largest } = quote
  return {
    object: 'video.quote',
    model: generation.model,
    ...settingsJson(generation, { ...generation, size: generation }, priced, currency),
    service_tier: tier,
    price: {
      per_million_tokens: formatMicros(priced.priceMicrosPerMillion),
      // Basis points are hundredths of micro-units: the same decimal, exactly.
      multiplier: formatMicros(BigInt(priced.multiplierBps) * 100n),
    },
    flex: tier === 'flex' ? flexJson(quote, currency) : null,
    queue_position: quote.forecast?.position ?? null,
    eta_seconds: quote.forecast?.etaSeconds ?? null,
    promise: quote.promise === null ? null : promiseJson(quote.promise, tier, currency),
    affordable: quote.isAffordable,
    within_limits: quote.isWithinLimits,
    largest: largest === null ? null : settingsJson(generation, largest.settings, largest.priced, currency),
  }
}

function promiseJson(
  { deliverBy, tiers }: PromiseOutlook,
  tier: ServiceTier,
  currency: string,
): PublicQuote['promise'] {
  return {
    deliver_by: unixSeconds(deliverBy),
    can_be_kept: tiers.some((outlook) => outlook.tier === tier && outlook.canBeKept),
    service_tier: tiers.find(({ canBeKept }) => canBeKept)?.tier ?? null,
    tiers: tiers.map((outlook) => ({
      service_tier: outlook.tier,
      can_be_kept: outlook.canBeKept,
      eta_seconds: outlook.forecast?.etaSeconds ?? null,
      cost: moneyJson(outlook.priced.costMicros, currency),
      credit_if_missed: moneyJson(outlook.rebateMicros, currency),
    })),
  }
}

/** What flex costs now, and when it may be dispatched at the earliest. */
function flexJson({ priced, start }: Quote, currency: string): PublicQuote['flex'] {
  return {
    price_per_million: formatMicros(priceAt(priced.priceMicrosPerMillion, priced.multiplierBpsNow)),
    cost: moneyJson(priced.costMicrosNow, currency),
    waits_for: start.waitsFor,
    starts_at: start.atMs === null ? null : Math.ceil(start.atMs / 1_000),
  }
}

/** What settings make and cost. */
function settingsJson(
  { fps }: { fps: number },
  settings: { size: { width: number; height: number }; num_frames: number; num_steps: number },
  priced: Priced,
  currency: string,
) {
  const { size, num_frames, num_steps } = settings
  return {
    size: formatSize(size),
    seconds: formatSeconds(num_frames, fps),
    num_frames,
    num_steps,
    usage: {
      video_tokens: Number(priced.videoTokens),
      steps: num_steps,
      generated_tokens: Number(priced.tokens),
    },
    cost: moneyJson(priced.costMicros, currency),
  }
}
