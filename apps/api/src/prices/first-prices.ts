import type { Context } from '../context.ts'

/** Gives a price to every model and resolution of the catalogue that never had one in this currency. */
export async function setFirstPrices({ config, db }: Pick<Context, 'config' | 'db'>): Promise<void> {
  for (const model of config.catalogue.models) {
    for (const resolution of model.resolutions) {
      await db.query({
        text: `insert into price (model, resolution, currency, micros_per_million)
        select $1, $2, $3, $4
        where not exists (select from price where model = $1 and resolution = $2 and currency = $3)`,
        values: [model.id, resolution, config.currency, model.firstPriceMicros[resolution]],
      })
    }
  }
}
