import { z } from 'zod'
import { pageQuery } from '../../http/pages.ts'
import { accountRoute } from '../../http/route.ts'
import { paymentPage, paymentPageAnswers } from './payment-json.ts'

export const listPaymentsRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/payments',
    operationId: 'listPayments',
    tag: 'payments',
    summary: "The account's payments",
    query: z.strictObject(pageQuery),
    answers: paymentPageAnswers,
    errors: ['not_found'],
  },
  async ({ context, key, query }) => paymentPage(context, { accountId: key.accountId }, query),
)
