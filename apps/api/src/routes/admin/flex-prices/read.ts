import { scopedRoute } from '../../../http/route.ts'
import { readFlexMarket } from '../../../prices/flex-market.ts'
import { flexPricesJson, flexPricesSchema } from './flex-prices-json.ts'

export const readFlexPricesRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/flex-prices',
    operationId: 'readFlexPrices',
    tag: 'admin',
    summary: 'What flex costs, by hour or by utilisation',
    answers: { 200: { description: 'The schedule and the prices now.', schema: flexPricesSchema } },
    errors: [],
  },
  async ({ context }) =>
    flexPricesJson(context, await readFlexMarket(context.db, context.config.tierMultiplierBps.flex)),
)
