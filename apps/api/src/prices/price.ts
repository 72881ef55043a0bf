import type { Model } from '@sluice/shared/models/model'
import type { TokenRule } from '@sluice/shared/models/token-rule'
import { costMicros } from '@sluice/shared/money'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { generatedTokens, videoTokens } from '@sluice/shared/token-count'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'

/** What a video's tokens depend on. */
export interface Clip {
  width: number
  height: number
  num_frames: number
  num_steps: number
}

/** What a video costs, and what that was computed from; frozen into the video at submission. */
export interface Priced {
  videoTokens: bigint
  /** Video tokens times steps: what is charged. */
  tokens: bigint
  priceMicrosPerMillion: bigint
  multiplierBps: number
  costMicros: bigint
}

/** A clip of a model, in the class that it is priced in. */
export type PricedClip = Clip & { model: Model; resolution: string }

/**
 * Prices a video as it would be now: exactly what a submission holds. Throws SluiceError `unavailable` when
 * the operator set no price.
 */
export async function priceVideo(
  db: Database,
  clip: PricedClip,
  tier: ServiceTier,
  config: Pick<Config, 'currency' | 'tierMultiplierBps'>,
): Promise<Priced> {
  return priceBy(await readPrices(db, [clip], config.currency), clip, tier, config)
}

/** As `priceVideo`, by prices that were read. Pure. */
export function priceBy(
  prices: ReadPrices,
  clip: PricedClip,
  tier: ServiceTier,
  { tierMultiplierBps }: Pick<Config, 'tierMultiplierBps'>,
): Priced {
  const priceMicrosPerMillion = prices.of(clip)
  return computePrice(clip, clip.model.tokens, {
    priceMicrosPerMillion,
    multiplierBps: tierMultiplierBps[tier],
  })
}

/** The cost of a clip at a known price, by the token rule of its model. Pure. */
export function computePrice(
  clip: Clip,
  rule: TokenRule,
  { priceMicrosPerMillion, multiplierBps }: Pick<Priced, 'priceMicrosPerMillion' | 'multiplierBps'>,
): Priced {
  const shape = { width: clip.width, height: clip.height, frames: clip.num_frames }
  const tokens = generatedTokens(rule, shape, clip.num_steps)
  return {
    priceMicrosPerMillion,
    multiplierBps,
    tokens,
    videoTokens: videoTokens(rule, shape),
    costMicros: costMicros(tokens, priceMicrosPerMillion, BigInt(multiplierBps)),
  }
}

/** What one price is for. */
interface Priceable {
  model: Pick<Model, 'id'>
  resolution: string
}

/** The prices of some classes as of one moment. */
export interface ReadPrices {
  /** Micro-units per million generated tokens. Throws SluiceError `unavailable` when none is set. */
  of(priceable: Priceable): bigint
}

/** Reads the prices of these classes as of now. */
export async function readPrices(
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
