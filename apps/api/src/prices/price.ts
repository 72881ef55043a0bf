import type { ResolutionClass } from '@sluice/shared/model-catalogue'
import { costMicros } from '@sluice/shared/money'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { generatedTokens, videoTokens } from '@sluice/shared/token-count'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { Generating } from '../submissions/generation-of.ts'

/** What a video costs, and how that was reckoned; frozen into the video at submission. */
export interface Priced {
  videoTokens: bigint
  /** Video tokens times steps: what is charged. */
  tokens: bigint
  priceMicrosPerMillion: bigint
  multiplierBps: number
  costMicros: bigint
}

/** Reckons a video at the prices in force now: exactly what a submission holds. Throws `unavailable` when the operator set no price. */
export async function priceVideo(
  db: Database,
  { generation, resolution }: Generating,
  tier: ServiceTier,
  config: Pick<Config, 'currency' | 'tierMultiplierBps'>,
): Promise<Priced> {
  const priceMicrosPerMillion = await readPriceMicros(db, generation.model, resolution, config.currency)
  return reckon(generation, { priceMicrosPerMillion, multiplierBps: config.tierMultiplierBps[tier] })
}

/** The reckoning itself. Pure. */
export function reckon(
  clip: { width: number; height: number; num_frames: number; num_steps: number },
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

/** Micro-units per million generated tokens, in force now. Throws `unavailable` when the operator set none. */
async function readPriceMicros(
  db: Database,
  model: string,
  resolution: ResolutionClass,
  currency: string,
): Promise<bigint> {
  const { rows } = await db.query<{ micros_per_million: bigint }>({
    name: 'price-read',
    text: `select micros_per_million from price
    where model = $1 and resolution = $2 and currency = $3 and effective_at <= now() order by effective_at desc limit 1`,
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
