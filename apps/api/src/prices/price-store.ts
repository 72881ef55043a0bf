import { unixSeconds } from '@sluice/shared/clock'

import { formatMicros } from '@sluice/shared/money'
import type { Database } from '../db/database.ts'

/** A row of table price, and whether new videos are priced by it now. */
export interface Price {
  model: string
  resolution: string
  currency: string
  effective_at: Date
  micros_per_million: bigint
  in_force: boolean
}

/** A price as the audit keeps it and the operator sees it. */
export interface PriceDetails {
  model: string
  resolution: string
  /** Per million generated tokens, in `currency`. */
  per_million: string
  currency: string
  /** Seconds since the Unix epoch. */
  effective_at: number
}

/** The details of a stored price. */
export function priceDetails(price: Price): PriceDetails {
  return {
    model: price.model,
    resolution: price.resolution,
    per_million: formatMicros(price.micros_per_million),
    currency: price.currency,
    effective_at: unixSeconds(price.effective_at),
  }
}

/** Every price there was, is or will be, newest first within model and resolution. */
export async function listPrices(db: Database, currency: string): Promise<Price[]> {
  const { rows } = await db.query<Price>({
    text: `select *,
      effective_at <= now() and effective_at = max(effective_at) filter (where effective_at <= now())
        over (partition by model, resolution) as in_force
    from price where currency = $1 order by model, resolution, effective_at desc`,
    values: [currency],
  })
  return rows
}

/** The prices by which new videos are priced now. */
export interface PricesInForce {
  currency: string
  /** Micro-units per million generated tokens; null when none is set. */
  of(model: string, resolution: string): bigint | null
}

/** Reads the price in force of every model and resolution. */
export async function readPricesInForce(db: Database, currency: string): Promise<PricesInForce> {
  const { rows } = await db.query<Pick<Price, 'model' | 'resolution' | 'micros_per_million'>>({
    name: 'prices-in-force',
    text: `select distinct on (model, resolution) model, resolution, micros_per_million
      from price
      where currency = $1 and effective_at <= now()
      order by model, resolution, effective_at desc`,
    values: [currency],
  })
  const prices = new Map(rows.map((row) => [`${row.model} ${row.resolution}`, row.micros_per_million]))
  return { currency, of: (model, resolution) => prices.get(`${model} ${resolution}`) ?? null }
}
