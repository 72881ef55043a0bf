import type { ResolutionClass } from '@sluice/shared/model-catalogue'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'

/** Micro-units per million generated tokens, in force now. Throws `unavailable` when the operator set none. */
export async function readPriceMicros(db: Database, model: string, resolution: ResolutionClass, currency: string): Promise<bigint> {
  const { rows } = await db.query<{ micros_per_million: bigint }>({
    name: 'price-read',
    text: `select micros_per_million from price
    where model = $1 and resolution = $2 and currency = $3 and effective_at <= now() order by effective_at desc limit 1`,
    values: [model, resolution, currency],
  })
  const row = rows[0]
  if (row === undefined) throw new SluiceError('unavailable', `No price is set for ${model} at ${resolution} in ${currency}.`, 'model')
  return row.micros_per_million
}
