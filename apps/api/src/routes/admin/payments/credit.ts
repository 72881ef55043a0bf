import { z } from 'zod'
import { scopedRoute } from '../../../http/route.ts'
import { assignPayment } from '../../../payments/credit-payment.ts'
import { text } from '../../../text-field.ts'
import { amountField } from '../../amount-field.ts'
import { paymentAnswers, paymentIdParams, paymentJson } from '../../payments/payment-json.ts'

export const creditPaymentRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/payments/{id}/credit',
    operationId: 'creditPayment',
    tag: 'admin',
    summary: 'Credit a payment that nobody was credited for',
    description: 'Once: again with the same account and amount it changes nothing, with others it is a 409.',
    params: paymentIdParams,
    body: z.strictObject({
      account_id: text(100),
      amount: amountField(1n)
        .optional()
        .meta({
          description: "Of the ledger's currency. Without it, what was paid, which must be in that.",
          example: '25',
        }),
    }),
    example: { account_id: 'acct_01m84f0j8df20bh2fw7sqrp04k' },
    answers: paymentAnswers,
    errors: ['not_found', 'state_conflict', 'missing_parameter'],
  },
  async ({ context, key, params, body }) => {
    const payment = await assignPayment(context, {
      adminKeyId: key.id,
      paymentId: params.id,
      accountId: body.account_id,
      amountMicros: body.amount ?? null,
    })
    return paymentJson(payment, context.config.currency)
  },
)
