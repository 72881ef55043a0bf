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

/**
 * Prices a video as it would be now: exactly what a submission holds. Throws SluiceError `unavailable` when
 * the operator set no price.
 */
export async function priceVideo(
  db: Database,
  clip: Clip & { model: Model; resolution: string },
  tier: ServiceTier,
  config: Pick<Config, 'currency' | 'tierMultiplierBps'>,
): Promise<Priced> {
  const priceMicrosPerMillion = await readPriceMicros(db, clip, config.currency)
  const multiplierBps = config.tierMultiplierBps[tier]
  return computePrice(clip, clip.model.tokens, { priceMicrosPerMillion, multiplierBps })
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

/** Micro-units per million generated tokens, as of now. Throws SluiceError `unavailable` when none is set. */
async function readPriceMicros(
  db: Database,
  { model, resolution }: { model: Model; resolution: string },
  currency: string,
): Promise<bigint> {
  const { rows } = await db.query<{ micros_per_million: bigint }>({
    name: 'price-read',
    text: `
      select micros_per_million from price
      where model = $1 and resolution = $2 and currency = $3 and effective_at <= now()
      order by effective_at desc
      limit 1`,
    values: [model.id, resolution, currency],
  })
  const [price] = rows
  if (price === undefined) {
    throw new SluiceError(
      'unavailable',
      `No price is set for ${model.id} at ${resolution} in ${currency}.`,
      'model',
    )
  }
  return price.micros_per_million
}
