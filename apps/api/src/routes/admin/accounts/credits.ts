import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { readAccount } from '../../../accounts/account-store.ts'
import { pageOfRows, pageQuery, pageSchema, requireCursorOf } from '../../../http/pages.ts'
import { scopedRoute } from '../../../http/route.ts'
import { listCredits } from '../../../ledger/list-credits.ts'
import { accountIdParams } from '../../account/account-json.ts'
import { expiringCreditJson, expiringCreditSchema } from '../../account/expiring-credit-json.ts'
import { moneyJson } from '../../money-json.ts'

const listedSchema = expiringCreditSchema
  .extend({ expired: moneySchema.meta({ description: 'What was taken off once its date had passed.' }) })
  .meta({ id: 'ListedExpiringCredit' })

export const listAccountCreditsRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}/credits',
    operationId: 'listAccountCredits',
    tag: 'admin',
    summary: "An account's credits with an expiry date, in pages",
    description: 'Also those that are used up or expired.',
    params: accountIdParams,
    query: z.strictObject(pageQuery),
    answers: {
      200: { description: 'One page, newest first.', schema: pageSchema(listedSchema, 'ExpiringCreditList') },
    },
    errors: ['not_found'],
  },
  async ({ context, params, query }) => {
    const { currency } = context.config
    requireCursorOf('credit', query.after)
    const { id } = await readAccount(context.db, params.id)
    const credits = await listCredits(context.db, id, query)
    return pageOfRows(credits, query.limit, (credit) => ({
      ...expiringCreditJson(credit, currency),
      expired: moneyJson(credit.expiredMicros, currency),
    }))
  },
)
