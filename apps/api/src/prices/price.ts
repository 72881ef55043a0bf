import type { Model } from '@sluice/shared/models/model'
import type { TokenRule } from '@sluice/shared/models/token-rule'
import { costMicros } from '@sluice/shared/money'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { generatedTokens, videoTokens } from '@sluice/shared/token-count'
import type { Config } from '../config/config.ts'
import { type Database, together } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { type FlexMarket, readFlexMarket } from './flex-market.ts'
import { flexTariff, MULTIPLIER_BPS_MAX } from './flex-tariff.ts'

/** What a video's tokens depend on. */
export interface Clip {
  width: number
  height: number
  num_frames: number
  num_steps: number
}

/** What clips of a class are priced by, for one tier. */
export interface Tariff {
  priceMicrosPerMillion: bigint
  /** What is charged by; of flex the highest that it may be dispatched at. */
  multiplierBps: number
  /** What is in force; differs from `multiplierBps` with flex alone. */
  multiplierBpsNow: number
  /** The customer's own maximum for a million tokens, which is held; null = `multiplierBps` says what is. */
  maxPriceMicros: bigint | null
}

/** What a video costs, and what that was computed from; frozen into the video at submission. */
export interface Priced extends Tariff {
  videoTokens: bigint
  /** Video tokens times steps: what is charged. */
  tokens: bigint
  /** What is held: the most that it costs. */
  costMicros: bigint
  /** What it would cost at the price in force. */
  costMicrosNow: bigint
}

/** A clip of a model, in the class that it is priced in. */
export type PricedClip = Clip & { model: Model; resolution: string }

/** What a customer asks for of a price. */
export interface PriceTerms {
  tier: ServiceTier
  /** With flex alone. */
  maxPriceMicros: bigint | null
}

/** What prices are computed by, as it was read at one moment. */
export interface Market {
  prices: ReadPrices
  /** Null where no flex video is priced. */
  flex: FlexMarket | null
  currency: string
  tierMultiplierBps: Config['tierMultiplierBps']
}

/** Reads what these clips are priced by. */
export async function readMarket(
  db: Database,
  clips: readonly { priceable: Priceable; tier: ServiceTier }[],
  { currency, tierMultiplierBps }: Pick<Config, 'currency' | 'tierMultiplierBps'>,
): Promise<Market> {
  const isFlex = clips.some(({ tier }) => tier === 'flex')
  const priceables = clips.map(({ priceable }) => priceable)
  const [prices, flex] = await together([
    readPrices(db, priceables, currency),
    isFlex ? readFlexMarket(db, tierMultiplierBps.flex) : Promise.resolve(null),
  ])
  return { prices, flex, currency, tierMultiplierBps }
}

/**
 * Prices a video as it would be now: exactly what a submission holds. Throws SluiceError `unavailable` when
 * the operator set no price, `max_price_too_small` when flex never costs as little.
 */
export async function priceVideo(
  db: Database,
  clip: PricedClip,
  terms: PriceTerms,
  config: Pick<Config, 'currency' | 'tierMultiplierBps'>,
): Promise<Priced> {
  return priceBy(await readMarket(db, [{ priceable: clip, tier: terms.tier }], config), clip, terms)
}

/** As `priceVideo`, by what was read. Pure. */
export function priceBy(market: Market, clip: PricedClip, terms: PriceTerms): Priced {
  return computePrice(clip, clip.model.tokens, tariffOf(market, clip, terms))
}

/** What clips of a class are priced by. Throws SluiceError as `priceVideo`. Pure. */
export function tariffOf(market: Market, priceable: Priceable, { tier, maxPriceMicros }: PriceTerms): Tariff {
  const priceMicrosPerMillion = market.prices.of(priceable)
  if (market.flex !== null && tier === 'flex')
    return flexTariff(market.flex, { priceMicrosPerMillion, maxPriceMicros, currency: market.currency })
  const multiplierBps = market.tierMultiplierBps[tier]
  return { priceMicrosPerMillion, multiplierBps, multiplierBpsNow: multiplierBps, maxPriceMicros: null }
}

/** The cost of a clip by a known tariff, by the token rule of its model. Pure. */
export function computePrice(clip: Clip, rule: TokenRule, tariff: Tariff): Priced {
  const { priceMicrosPerMillion, multiplierBps, multiplierBpsNow, maxPriceMicros } = tariff
  const shape = { width: clip.width, height: clip.height, frames: clip.num_frames }
  const tokens = generatedTokens(rule, shape, clip.num_steps)
  const costAt = (bps: number) => costMicros(tokens, priceMicrosPerMillion, BigInt(bps))
  return {
    ...tariff,
    tokens,
    videoTokens: videoTokens(rule, shape),
    costMicros:
      maxPriceMicros === null
        ? costAt(multiplierBps)
        : least(costMicros(tokens, maxPriceMicros, 10_000n), costAt(MULTIPLIER_BPS_MAX)),
    costMicrosNow: costAt(multiplierBpsNow),
  }
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

/** What one price is for. */
export interface Priceable {
  model: Pick<Model, 'id'>
  resolution: string
}

/** The prices of some classes as of one moment. */
interface ReadPrices {
  /** Micro-units per million generated tokens. Throws SluiceError `unavailable` when none is set. */
  of(priceable: Priceable): bigint
}

/** Reads the prices of these classes as of now. */
async function readPrices(
  db: Database,
  priceables: readonly Priceable[],
  currency: string,
): Promise<ReadPrices> {
  const classes = new Map(
    priceables.map(({ model, resolution }) => [`${model.id} ${resolution}`, { model: model.id, resolution }]),
  )
  const { rows } = await db.query<{ model: string; resolution: string; micros_per_million: bigint }>({
    name: 'prices-read',
    text: `
      select c.model, c.resolution, p.micros_per_million
      from unnest($1::text[], $2::text[]) c (model, resolution)
      cross join lateral (
        select micros_per_million from price
        where model = c.model and resolution = c.resolution and currency = $3 and effective_at <= now()
        order by effective_at desc
        limit 1) p`,
    values: [
      [...classes.values()].map(({ model }) => model),
      [...classes.values()].map(({ resolution }) => resolution),
      currency,
    ],
  })
  const micros = new Map(rows.map((row) => [`${row.model} ${row.resolution}`, row.micros_per_million]))
  return {
    of: ({ model, resolution }) => {
      const price = micros.get(`${model.id} ${resolution}`)
      if (price !== undefined) return price
      throw new SluiceError(
        'unavailable',
        `No price is set for ${model.id} at ${resolution} in ${currency}.`,
        'model',
      )
    },
  }
}
