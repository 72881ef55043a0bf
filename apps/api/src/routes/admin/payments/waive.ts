import { scopedRoute } from '../../../http/route.ts'
import { waiveOwed } from '../../../payments/credit-payment.ts'
import { paymentAnswers, paymentIdParams, paymentJson } from '../../payments/payment-json.ts'

export const waivePaymentRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/payments/{id}/waive',
    operationId: 'waivePayment',
    tag: 'admin',
    summary: 'Give up what is still owed of a payment',
    description:
      'What a refund or dispute took back is spent already, and is taken from what the account pays next. This ends that, as of now.',
    params: paymentIdParams,
    answers: paymentAnswers,
    errors: ['not_found'],
  },
  async ({ context, key, params }) => {
    const payment = await waiveOwed(context, { adminKeyId: key.id, paymentId: params.id })
    return paymentJson(payment, context.config.currency)
  },
)
