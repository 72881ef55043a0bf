import { scopedRoute } from '../../../http/route.ts'
import { dismissPayment } from '../../../payments/credit-payment.ts'
import { paymentAnswers, paymentIdParams, paymentJson } from '../../payments/payment-json.ts'

export const dismissPaymentRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/payments/{id}/dismiss',
    operationId: 'dismissPayment',
    tag: 'admin',
    summary: 'Put a payment aside that is for no account',
    description: 'It is listed as `dismissed`, and can still be credited.',
    params: paymentIdParams,
    answers: paymentAnswers,
    errors: ['not_found', 'state_conflict'],
  },
  async ({ context, key, params }) => {
    const payment = await dismissPayment(context, { adminKeyId: key.id, paymentId: params.id })
    return paymentJson(payment, context.config.currency)
  },
)
