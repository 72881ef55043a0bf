import type { Forecast } from '@sluice/gate/forecast/simulate'
import type { Context } from '../context.ts'
import type { Forecaster } from '../forecast/forecaster.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { readBudget } from '../keys/budget.ts'
import { readOwned } from '../ledger/accounts.ts'
import { computePrice, type Priced, priceVideo } from '../prices/price.ts'
import { exceededCeiling } from './ceilings.ts'
import { type CreateRequest, serviceTierOf } from './create-request.ts'
import type { SizedGeneration } from './generation-of.ts'
import { judgeRequest } from './judge-request.ts'
import { largestFitting, type Settings } from './largest.ts'
import { newHead, readStanding } from './new-head.ts'
import { lookAtPromise, type PromiseContext, type PromiseOutlook } from './promised-time.ts'

/** What a submission would cost and how long it would take, had it been made now. */
export interface Quote extends SizedGeneration {
  priced: Priced
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
  const tier = serviceTierOf(request)
  const priced = await priceVideo(context.db, clip, tier, context.config)
  const isWithinLimits = exceededCeiling(request, priced) === null
  const standing = await readStanding(context.db, key)
  const head = newHead({ key, standing, request, tier, sized, videoTokens: priced.videoTokens })
  return {
    ...sized,
    priced,
    isWithinLimits,
    isAffordable: await isAffordable(context, key, priced),
    forecast: await context.forecaster.ofNew(head),
    promise: await lookAtPromise(context, key, request, sized),
    largest: isWithinLimits ? null : await largestOf(context, request, sized),
  }
}

async function isAffordable({ db, config }: Context, key: AccountKey, priced: Priced): Promise<boolean> {
  const { customer, trial } = await readOwned(db, key.accountId, config.currency)
  const { remainingTokens } = await readBudget(db, key.id)
  return (
    customer.balanceMicros + trial.balanceMicros >= priced.costMicros &&
    (remainingTokens === null || remainingTokens >= priced.tokens)
  )
}

async function largestOf(
  context: Context,
  request: CreateRequest,
  sized: SizedGeneration,
): Promise<Quote['largest']> {
  const { model } = sized
  const pricedClass = await priceClasses(context, request, sized)
  const priceOf = ({ size, num_frames, num_steps }: Settings) => {
    const price = pricedClass.get(size.resolution)
    if (price === undefined) throw new RangeError(`model ${model.id} makes no ${size.resolution} video`)
    return computePrice(
      { width: size.width, height: size.height, num_frames, num_steps },
      model.tokens,
      price,
    )
  }
  const settings = largestFitting(sized, (candidate) => exceededCeiling(request, priceOf(candidate)) === null)
  return settings === null ? null : { settings, priced: priceOf(settings) }
}

/** The price of each resolution class that a model makes. */
async function priceClasses(
  { db, config }: Context,
  request: CreateRequest,
  { model, generation }: SizedGeneration,
): Promise<ReadonlyMap<string, Priced>> {
  const prices = new Map<string, Priced>()
  for (const resolution of model.resolutions) {
    const clip = { ...generation, model, resolution }
    prices.set(resolution, await priceVideo(db, clip, serviceTierOf(request), config))
  }
  return prices
}
