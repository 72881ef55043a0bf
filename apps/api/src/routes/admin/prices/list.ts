import { z } from 'zod'
import { scopedRoute } from '../../../http/route.ts'
import { listPrices } from '../../../prices/price-store.ts'
import { priceJson, priceSchema } from './price-json.ts'

export const listPricesRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/prices',
    operationId: 'listPrices',
    tag: 'admin',
    summary: 'Prices that were, are and will be',
    answers: {
      200: {
        description: 'By model and resolution, newest first.',
        schema: z.object({ object: z.literal('list'), data: z.array(priceSchema) }).meta({ id: 'PriceList' }),
      },
    },
    errors: [],
  },
  async ({ context }) => {
    const prices = await listPrices(context.db, context.config.currency)
    return { object: 'list', data: prices.map(priceJson) }
  },
)
