import { unixSeconds } from '@sluice/shared/clock'
import type { Model } from '@sluice/shared/models/model'
import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import { type Price, priceDetails } from './price-store.ts'

export interface NewPrice {
  model: Model
  resolution: string
  microsPerMillion: bigint
  /** The price is that of videos submitted from then on; null = now. */
  effectiveAt: Date | null
}

/**
 * Sets a price and records it in the audit; videos submitted before keep theirs. `adminKeyId` is the admin
 * key that asks. Throws SluiceError: for a resolution that the model does not make, for a moment that has
 * passed, and `state_conflict` when a price of that very moment is set already.
 */
export async function setPrice(context: Context, adminKeyId: string, price: NewPrice): Promise<Price> {
  requireAllowed(price, context.clock.now())
  return transaction(context.db, async (db) => {
    const stored = await insertPrice(db, price, context.config.currency)
    await recordChange(db, {
      keyId: adminKeyId,
      action: 'price.set',
      subject: `${stored.model} ${stored.resolution}`,
      details: priceDetails(stored),
    })
    return stored
  })
}

function requireAllowed({ model, resolution, effectiveAt }: NewPrice, nowMs: number): void {
  const made = model.resolutions
  if (!made.includes(resolution))
    throw invalidValue('resolution', resolution, `${made.join(', ')} with model ${model.id}`)
  if (effectiveAt !== null && effectiveAt.getTime() <= nowMs) {
    throw invalidValue(
      'effective_at',
      unixSeconds(effectiveAt),
      'a time to come, in seconds since the Unix epoch, or nothing for now',
    )
  }
}

async function insertPrice(db: Database, price: NewPrice, currency: string): Promise<Price> {
  const { rows } = await db.query<Price>({
    text: `insert into price (model, resolution, currency, effective_at, micros_per_million)
    values ($1, $2, $3, coalesce($4, now()), $5)
    on conflict do nothing
    returning *, effective_at <= now() as in_force`,
    values: [price.model.id, price.resolution, currency, price.effectiveAt, price.microsPerMillion],
  })
  const stored = rows[0]
  if (stored !== undefined) return stored
  throw new SluiceError(
    'state_conflict',
    'A price of this model and resolution begins at that very moment already.',
    'effective_at',
  )
}
