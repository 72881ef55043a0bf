import type { ResolutionClass } from '@sluice/shared/model-catalogue'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'

/** A row of table price, and whether new videos are priced by it now. */
export interface Price {
  model: string
  resolution: ResolutionClass
  currency: string
  effective_at: Date
  micros_per_million: bigint
  in_force: boolean
}

/** Every price there was, is or will be, newest first within model and resolution. */
export async function listPrices(db: Database, currency: string): Promise<Price[]> {
  const { rows } = await db.query<Price>({
    text: `select *, effective_at <= now() and effective_at = max(effective_at) filter (where effective_at <= now())
        over (partition by model, resolution) as in_force
    from price where currency = $1 order by model, resolution, effective_at desc`,
    values: [currency],
  })
  return rows
}

/**
 * Sets the price of videos submitted from `effectiveAt` on (null = now); earlier ones keep theirs. Throws SluiceError
 * `state_conflict` when one is set for that very moment already.
 */
export async function setPrice(
  db: Database,
  price: {
    model: string
    resolution: ResolutionClass
    currency: string
    microsPerMillion: bigint
    effectiveAt: Date | null
  },
): Promise<Price> {
  const { rows } = await db.query<Price>({
    text: `insert into price (model, resolution, currency, effective_at, micros_per_million)
    values ($1, $2, $3, coalesce($4, now()), $5) on conflict do nothing returning *, effective_at <= now() as in_force`,
    values: [price.model, price.resolution, price.currency, price.effectiveAt, price.microsPerMillion],
  })
  const set = rows[0]
  if (set === undefined) {
    throw new SluiceError(
      'state_conflict',
      'A price of this model and resolution begins at that very moment already.',
      'effective_at',
    )
  }
  return set
}
