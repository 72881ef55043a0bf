import type { Model } from '@sluice/shared/models/model'
import type { Context } from '../context.ts'
import { SluiceError } from '../errors.ts'
import type { Forecast } from '../forecast/forecast.ts'
import type { Forecaster } from '../forecast/forecaster.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { readBudget } from '../keys/budget.ts'
import { readPurse, spendableMicros } from '../ledger/purse.ts'
import {
  computePrice,
  type Market,
  type Priced,
  priceBy,
  readMarket,
  type Tariff,
  tariffOf,
} from '../prices/price.ts'
import { exceededCeiling } from './ceilings.ts'
import { type CreateRequest, priceTermsOf, serviceTierOf } from './create-request.ts'
import { type Start, startOf } from './flex-start.ts'
import type { SizedGeneration } from './generation-of.ts'
import { judgeRequest } from './judge-request.ts'
import { largestFitting, type Settings } from './largest.ts'
import { newHead, readStanding } from './new-head.ts'
import { lookAtPromise, type PromiseContext, type PromiseOutlook } from './promised-time.ts'

/** What a submission would cost and how long it would take, had it been made now. */
export interface Quote extends SizedGeneration {
  priced: Priced
  start: Start
  /** Null when its place is not known: more videos wait before it than are simulated. */
  forecast: Forecast | null
  /** Null when no time is asked for. */
  promise: PromiseOutlook | null
  /** The account's balance and the key's budget cover it. */
  isAffordable: boolean
  /** The request's own `max_tokens` and `max_cost` allow it. */
  isWithinLimits: boolean
  /**
   * The largest settings that the limits allow, and their price; null when those asked for fit, or none do.
   */
  largest: { settings: Settings; priced: Priced } | null
}

/** A quote also needs forecasts. */
export type QuoteContext = PromiseContext & { forecaster: Pick<Forecaster, 'ofNew'> }

/**
 * Quotes a submission; nothing is held or stored. Throws SluiceError for a request that a submission would be
 * refused for too.
 */
export async function quoteVideo(
  context: QuoteContext,
  key: AccountKey,
  request: CreateRequest,
): Promise<Quote> {
  const { model, generation, resolution } = await judgeRequest(context, key, request)
  const sized = { model, generation, resolution }
  const clip = { ...generation, model, resolution }
  const market = await readMarketFor(context, request, sized)
  const priced = priceBy(market, clip, priceTermsOf(request))
  const start = startOf(request, priced, market.flex)
  const isWithinLimits = exceededCeiling(request, priced) === null
  const standing = await readStanding(context.db, key)
  const tier = serviceTierOf(request)
  const head = newHead({ key, standing, request, tier, sized, videoTokens: priced.videoTokens })
  return {
    ...sized,
    priced,
    start,
    isWithinLimits,
    isAffordable: await isAffordable(context, key, priced),
    forecast: await context.forecaster.ofNew({
      ...head,
      multiplier_bps_max: priced.maxPriceMicros === null ? null : priced.multiplierBps,
      not_before_in_ms: start.delayMs,
    }),
    promise: await lookAtPromise(context, key, request, sized),
    largest: isWithinLimits ? null : largestOf(market, request, sized),
  }
}

/** What every class of the model is priced by. */
function readMarketFor(
  { db, config }: Context,
  request: CreateRequest,
  { model }: SizedGeneration,
): Promise<Market> {
  const tier = serviceTierOf(request)
  const clips = model.resolutions.map((resolution) => ({ priceable: { model, resolution }, tier }))
  return readMarket(db, clips, config)
}

async function isAffordable({ db, config }: Context, key: AccountKey, priced: Priced): Promise<boolean> {
  const purse = await readPurse(db, key.accountId, config.currency)
  const { remainingTokens } = await readBudget(db, key.id)
  return (
    spendableMicros(purse) >= priced.costMicros &&
    (remainingTokens === null || remainingTokens >= priced.tokens)
  )
}

function largestOf(market: Market, request: CreateRequest, sized: SizedGeneration): Quote['largest'] {
  const { model } = sized
  const tariffs = tariffsOf(market, request, model)
  const priceOf = ({ size, num_frames, num_steps }: Settings): Priced | null => {
    const tariff = tariffs.get(size.resolution)
    if (tariff === undefined) return null
    return computePrice(
      { width: size.width, height: size.height, num_frames, num_steps },
      model.tokens,
      tariff,
    )
  }
  const settings = largestFitting(sized, (candidate) => {
    const priced = priceOf(candidate)
    return priced !== null && exceededCeiling(request, priced) === null
  })
  const priced = settings === null ? null : priceOf(settings)
  return settings === null || priced === null ? null : { settings, priced }
}

/** What each class of a model is priced by; without those that never cost as little as asked for. */
function tariffsOf(market: Market, request: CreateRequest, model: Model): ReadonlyMap<string, Tariff> {
  const tariffs = new Map<string, Tariff>()
  for (const resolution of model.resolutions) {
    try {
      tariffs.set(resolution, tariffOf(market, { model, resolution }, priceTermsOf(request)))
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === 'max_price_too_small')) throw error
    }
  }
  return tariffs
}
