import type { Forecast } from '@sluice/gate/forecast/simulate'
import type { HeadRow } from '@sluice/gate/head-row'
import { capabilityOf } from '@sluice/shared/models/capability'
import type { Context } from '../context.ts'
import { one } from '../db/database.ts'
import type { Forecaster, NewVideo } from '../forecast/forecaster.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { readBudget } from '../keys/budget.ts'
import { readOwned } from '../ledger/accounts.ts'
import { computePrice, type Priced, priceVideo } from '../prices/price.ts'
import { exceededCeiling } from './ceilings.ts'
import { type CreateRequest, expiresSecondsOf, serviceTierOf } from './create-request.ts'
import type { SizedGeneration } from './generation-of.ts'
import { judgeRequest } from './judge-request.ts'
import { largestFitting, type Settings } from './largest.ts'

/** What a submission would cost and how long it would take, had it been made now. */
export interface Quote extends SizedGeneration {
  priced: Priced
  /** Null when its place is not known: more videos wait before it than are simulated. */
  forecast: Forecast | null
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
export type QuoteContext = Context & { forecaster: Pick<Forecaster, 'ofNew'> }

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
  const priced = await priceVideo(context.db, clip, serviceTierOf(request), context.config)
  const isWithinLimits = exceededCeiling(request, priced) === null
  return {
    ...sized,
    priced,
    isWithinLimits,
    isAffordable: await isAffordable(context, key, priced),
    forecast: await context.forecaster.ofNew(await headOf(context, key, request, { ...sized, priced })),
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

/** The video as the gate would see it at the head of its queue, were it submitted. */
async function headOf(
  { db }: Context,
  key: AccountKey,
  request: CreateRequest,
  { generation, resolution, priced }: SizedGeneration & { priced: Priced },
): Promise<NewVideo> {
  const standing = one(
    await db.query<Pick<HeadRow, 'weight' | 'account_running_max' | 'key_running_max'>>({
      name: 'key-standing',
      text: `
        select a.weight, a.running_max as account_running_max, k.running_max as key_running_max
        from api_key k join account a on a.id = k.account_id
        where k.id = $1`,
      values: [key.id],
    }),
  )
  return {
    account_id: key.accountId,
    key_id: key.id,
    ...standing,
    service_tier: serviceTierOf(request),
    model: generation.model,
    capability: capabilityOf(generation),
    resolution,
    width: generation.width,
    height: generation.height,
    num_frames: generation.num_frames,
    num_steps: generation.num_steps,
    video_tokens: priced.videoTokens,
    expires_in_ms: expiresSecondsOf(request) * 1_000,
  }
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
