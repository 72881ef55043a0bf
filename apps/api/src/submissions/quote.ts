import { capabilityOf, type ResolutionClass, resolutionsOf } from '@sluice/shared/model-catalogue'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Context } from '../context.ts'
import { one } from '../db/database.ts'
import type { Forecaster } from '../forecast/forecaster.ts'
import type { Forecast } from '../forecast/simulate.ts'
import type { HeadRow } from '../gate/head-row.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { readBudget } from '../keys/budget.ts'
import { readOwned } from '../ledger/accounts.ts'
import { type Priced, priceVideo, reckon } from '../prices/price.ts'
import type { CreateRequest } from './create-request.ts'
import type { Generating } from './generation-of.ts'
import { largestFitting, type Settings } from './largest.ts'
import { DEFAULT_EXPIRY_SECONDS, exceededCeiling, judgeRequest } from './submit.ts'

/** What a submission would cost and how long it would take, had it been made now. */
export interface Quote extends Generating {
  priced: Priced
  /** Null when nothing is known of its place: its queue is longer than what is simulated. */
  forecast: Forecast | null
  /** The account's balance and the key's budget cover it. */
  isAffordable: boolean
  /** The request's own `max_tokens` and `max_cost` allow it. */
  isWithinLimits: boolean
  /** Settings the limits do allow, with their price; null when those asked for fit, or none do. */
  largest: { settings: Settings; priced: Priced } | null
}

/** A quote also asks the forecaster. */
export type QuoteContext = Context & { forecaster: Pick<Forecaster, 'ofNew'> }

/** Quotes a submission; nothing is held or stored. Throws SluiceError for a request that no submission would be taken for either. */
export async function quoteVideo(
  context: QuoteContext,
  key: AccountKey,
  request: CreateRequest,
): Promise<Quote> {
  const { config, db } = context
  const { judged: generating } = await judgeRequest(context, key, request)
  const tier = request.service_tier ?? 'standard'
  const priced = await priceVideo(db, generating, tier, config)
  const isWithinLimits = exceededCeiling(request, priced) === null
  const { customer, trial } = await readOwned(db, key.accountId, config.currency)
  const { remainingTokens } = await readBudget(db, key.id)
  return {
    ...generating,
    priced,
    isWithinLimits,
    isAffordable:
      customer.balanceMicros + trial.balanceMicros >= priced.costMicros &&
      (remainingTokens === null || remainingTokens >= priced.tokens),
    forecast: await forecastOf(context, key, request, generating, priced, tier),
    largest: isWithinLimits ? null : await largestOf(context, request, generating, tier),
  }
}

async function forecastOf(
  context: QuoteContext,
  key: AccountKey,
  request: CreateRequest,
  { generation, resolution }: Generating,
  priced: Priced,
  tier: ServiceTier,
): Promise<Forecast | null> {
  const standing = one(
    await context.db.query<Pick<HeadRow, 'weight' | 'account_running_max' | 'key_running_max'>>({
      name: 'key-standing',
      text: `select a.weight, a.running_max as account_running_max, k.running_max as key_running_max
      from api_key k join account a on a.id = k.account_id where k.id = $1`,
      values: [key.id],
    }),
  )
  const { model, width, height, num_frames, num_steps } = generation
  return context.forecaster.ofNew({
    account_id: key.accountId,
    key_id: key.id,
    ...standing,
    service_tier: tier,
    model,
    capability: capabilityOf(generation),
    resolution,
    width,
    height,
    num_frames,
    num_steps,
    video_tokens: priced.videoTokens,
    expires_in_ms: (request.execution_expires_after ?? DEFAULT_EXPIRY_SECONDS[tier]) * 1_000,
  })
}

async function largestOf(
  context: Context,
  request: CreateRequest,
  generating: Generating,
  tier: ServiceTier,
): Promise<Quote['largest']> {
  const model = context.config.catalogue.find(generating.generation.model)
  if (model === undefined) return null
  const prices = new Map<ResolutionClass, Priced>()
  for (const resolution of resolutionsOf(model)) {
    prices.set(resolution, await priceVideo(context.db, { ...generating, resolution }, tier, context.config))
  }
  const reckonFor = ({ size, num_frames, num_steps }: Settings) => {
    const price = prices.get(size.resolution)
    if (price === undefined) throw new RangeError(`model ${model.id} makes no ${size.resolution} video`)
    return reckon({ width: size.width, height: size.height, num_frames, num_steps }, price)
  }
  const settings = largestFitting(
    generating,
    model,
    (candidate) => exceededCeiling(request, reckonFor(candidate)) === null,
  )
  return settings === null ? null : { settings, priced: reckonFor(settings) }
}
