import { z } from 'zod'
import { type Price, priceDetails } from '../../../prices/price-store.ts'

export const priceSchema = z
  .object({
    object: z.literal('price'),
    model: z.string(),
    resolution: z.string().meta({ description: "One of the model's resolution classes.", example: '256px' }),
    per_million: z.string().meta({ description: 'Per million generated tokens.', example: '0.2' }),
    currency: z.string(),
    effective_at: z.int(),
    in_force: z.boolean().meta({ description: 'New videos are priced by it now.' }),
  })
  .meta({ id: 'Price' })

export function priceJson(price: Price): z.input<typeof priceSchema> {
  return { object: 'price', ...priceDetails(price), in_force: price.in_force }
}
