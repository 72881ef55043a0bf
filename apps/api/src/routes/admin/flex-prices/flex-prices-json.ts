import { FLEX_SCHEDULE_KINDS, multiplierAt } from '@sluice/gate/flex/flex-price'
import { unixSeconds } from '@sluice/shared/clock'
import { formatMicros } from '@sluice/shared/money'
import { z } from 'zod'
import type { Context } from '../../../context.ts'
import type { FlexMarket } from '../../../prices/flex-market.ts'
import { priceAt } from '../../../prices/flex-tariff.ts'
import { readPricesInForce } from '../../../prices/price-store.ts'
import { scheduleDetails } from '../../../prices/set-flex-schedule.ts'

export const byField = z
  .enum(FLEX_SCHEDULE_KINDS)
  .meta({ description: 'What a step begins at: an hour of the day (UTC), or percent of utilisation.' })

export const flexPricesSchema = z
  .object({
    object: z.literal('flex_prices'),
    by: byField,
    steps: z
      .array(
        z.object({
          from: z.int().meta({ description: 'It holds from here to the next step.', example: 7 }),
          multiplier: z.string().meta({ description: 'On the price of each class.', example: '0.5' }),
        }),
      )
      .meta({ description: 'By from; the first is 0.' }),
    set_at: z
      .int()
      .nullable()
      .meta({ description: 'Null as long as none was set: the price is SLUICE_FLEX_MULTIPLIER_BPS.' }),
    multiplier: z.string().meta({ description: 'In force now.', example: '0.5' }),
    utilisation: z
      .number()
      .meta({
        description: 'The share of slots that flex does not have, smoothed over a quarter of an hour.',
      }),
    currency: z.string(),
    prices: z
      .array(
        z.object({
          model: z.string(),
          resolution: z.string().meta({ example: '256px' }),
          per_million: z.string(),
        }),
      )
      .meta({ description: 'What a million tokens cost in flex now, by model and resolution class.' }),
  })
  .meta({ id: 'FlexPrices' })

/** The schedule, and what flex costs by it now. */
export async function flexPricesJson(
  { db, config }: Context,
  market: FlexMarket,
): Promise<z.input<typeof flexPricesSchema>> {
  const { currency, catalogue } = config
  const multiplierBps = multiplierAt(market.schedule, market)
  const inForce = await readPricesInForce(db, currency)
  return {
    object: 'flex_prices',
    ...scheduleDetails(market.schedule),
    set_at: unixSeconds(market.setAt),
    multiplier: formatMicros(BigInt(multiplierBps) * 100n),
    utilisation: Math.round(market.utilisation * 10_000) / 10_000,
    currency,
    prices: catalogue.models.flatMap(({ id: model, resolutions }) =>
      resolutions.flatMap((resolution) => {
        const price = inForce.of(model, resolution)
        if (price === null) return []
        return { model, resolution, per_million: formatMicros(priceAt(price, multiplierBps)) }
      }),
    ),
  }
}
