import type { Generation } from '@sluice/shared/generation'
import type { ResolutionClass } from '@sluice/shared/model-catalogue'
import { costMicros } from '@sluice/shared/money'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { generatedTokens, videoTokens } from '@sluice/shared/token-count'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'

/** What a video's tokens depend on. */
type Clip = Pick<Generation, 'width' | 'height' | 'num_frames' | 'num_steps'>

/** What a video costs, and how that was calculated; frozen into the video at submission. */
export interface Priced {
  videoTokens: bigint
  /** Video tokens times steps: what is charged. */
  tokens: bigint
  priceMicrosPerMillion: bigint
  multiplierBps: number
  costMicros: bigint
}

/**
 * Prices a video at the prices in force now: exactly what a submission holds. Throws SluiceError
 * `unavailable` when the operator set no price.
 */
export async function priceVideo(
  db: Database,
  { generation, resolution }: { generation: Clip & Pick<Generation, 'model'>; resolution: ResolutionClass },
  tier: ServiceTier,
  config: Pick<Config, 'currency' | 'tierMultiplierBps'>,
): Promise<Priced> {
  const priceMicrosPerMillion = await readPriceMicros(db, generation.model, resolution, config.currency)
  return priceClip(generation, { priceMicrosPerMillion, multiplierBps: config.tierMultiplierBps[tier] })
}

/** What a clip costs at a price that is known. Pure. */
export function priceClip(
  clip: Clip,
  price: Pick<Priced, 'priceMicrosPerMillion' | 'multiplierBps'>,
): Priced {
  const shape = { width: clip.width, height: clip.height, frames: clip.num_frames }
  const tokens = generatedTokens(shape, clip.num_steps)
  return {
    ...price,
    tokens,
    videoTokens: videoTokens(shape),
    costMicros: costMicros(tokens, price.priceMicrosPerMillion, BigInt(price.multiplierBps)),
  }
}

/**
 * Micro-units per million generated tokens, in force now. Throws SluiceError `unavailable` when none is set.
 */
async function readPriceMicros(
  db: Database,
  model: string,
  resolution: ResolutionClass,
  currency: string,
): Promise<bigint> {
  const { rows } = await db.query<{ micros_per_million: bigint }>({
    name: 'price-read',
    text: `select micros_per_million from price
    where model = $1 and resolution = $2 and currency = $3 and effective_at <= now()
    order by effective_at desc limit 1`,
    values: [model, resolution, currency],
  })
  const row = rows[0]
  if (row === undefined)
    throw new SluiceError(
      'unavailable',
      `No price is set for ${model} at ${resolution} in ${currency}.`,
      'model',
    )
  return row.micros_per_million
}
