import { z } from 'zod'
import { repeatHeaders } from '../../../http/request-headers.ts'
import { scopedRoute } from '../../../http/route.ts'
import { listPaidBack, type PaidBack } from '../../../payments/payment-store.ts'
import { refundAccount } from '../../../payments/refund-account.ts'
import { toPayBack } from '../../../payments/refunded-payments.ts'
import { accountIdParams } from '../../account/account-json.ts'
import { moneyJson } from '../../money-json.ts'
import { idempotencyKeyField } from '../fields.ts'
import { movedJson, movedSchema, orderOf } from './money-order.ts'

export const refundAccountRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts/{id}/refund',
    operationId: 'refundAccount',
    tag: 'admin',
    summary: 'Take the unused paid balance off, to pay it back',
    description:
      'In full, and never promotional credit; paid credit with an expiry date as well. What is held stays; what comes back of it when its videos end can be refunded then. Paying the money out is up to you.',
    params: accountIdParams,
    headers: repeatHeaders,
    body: z.strictObject({ idempotency_key: idempotencyKeyField }),
    example: { idempotency_key: 'refund 2026-0007' },
    answers: {
      200: {
        description: 'What is to be paid back, and the account as it stands.',
        schema: movedSchema
          .extend({
            object: z.literal('refund'),
            transfer_id: z
              .string()
              .nullable()
              .meta({ description: 'Null when there was nothing to refund.' }),
            payments: z
              .array(
                z.object({
                  payment_id: z.string().meta({ example: 'pay_01m84f0j8df20bh2fw7sqrp04k' }),
                  intent: z.string().nullable().meta({ example: 'pi_3PqR5t' }),
                  amount: z.string(),
                  currency: z.string(),
                }),
              )
              .meta({
                description:
                  'Of it, what came through a payment provider: refund so much of each there, tax included. That takes nothing off again.',
              }),
          })
          .meta({ id: 'Refund' }),
      },
    },
    errors: ['not_found'],
  },
  async (call) => {
    const { context, params } = call
    const { transferId, amountMicros } = await refundAccount(context, orderOf(call))
    return {
      object: 'refund',
      transfer_id: transferId,
      payments: transferId === null ? [] : (await listPaidBack(context.db, transferId)).map(paidBackJson),
      ...(await movedJson(context, params.id, amountMicros)),
    }
  },
)

function paidBackJson(part: PaidBack) {
  return { payment_id: part.id, intent: part.intent, ...moneyJson(toPayBack(part), part.currency) }
}
