import { z } from 'zod'
import { pageQuery } from '../../../http/pages.ts'
import { scopedRoute } from '../../../http/route.ts'
import { PAYMENT_STATUSES } from '../../../payments/payment-store.ts'
import { text } from '../../../text-field.ts'
import { paymentPage, paymentPageAnswers } from '../../payments/payment-json.ts'

export const listAllPaymentsRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/payments',
    operationId: 'listAllPayments',
    tag: 'admin',
    summary: 'Payments of all accounts, and those that nobody was credited for',
    query: z.strictObject({
      ...pageQuery,
      status: z.enum(PAYMENT_STATUSES).optional(),
      account_id: text(100).optional(),
    }),
    answers: paymentPageAnswers,
    errors: ['not_found'],
  },
  async ({ context, query }) =>
    paymentPage(context, { accountId: query.account_id, status: query.status }, query),
)
