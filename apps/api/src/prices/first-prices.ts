import { resolutionsOf } from '@sluice/shared/model-catalogue'
import type { Context } from '../context.ts'

/**
 * Micro-units per million generated tokens until the operator sets others: about 2.5 times what an H200 at 2
 * an hour costs.
 */
const FIRST_PRICES = { '256px': 200_000n, '768px': 600_000n } as const

/** Gives a price to every model and resolution of the catalogue that never had one in this currency. */
export async function setFirstPrices({ config, db }: Pick<Context, 'config' | 'db'>): Promise<void> {
  for (const model of config.catalogue.models) {
    for (const resolution of resolutionsOf(model)) {
      await db.query({
        text: `insert into price (model, resolution, currency, micros_per_million)
        select $1, $2, $3, $4
        where not exists (select from price where model = $1 and resolution = $2 and currency = $3)`,
        values: [
          model.id,
          resolution,
          config.currency,
          model.firstPriceMicros?.[resolution] ?? FIRST_PRICES[resolution],
        ],
      })
    }
  }
}
