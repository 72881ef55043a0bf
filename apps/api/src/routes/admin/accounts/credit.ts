import { z } from 'zod'
import { CREDIT_KINDS, creditAccount } from '../../../accounts/credit.ts'
import { repeatHeaders } from '../../../http/request-headers.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountIdParams } from '../../account/account-json.ts'
import { amountField, idempotencyKeyField } from '../fields.ts'
import { movedJson, movedSchema, orderOf } from './money-order.ts'

const creditSchema = z.strictObject({
  amount: amountField(1n).meta({ description: 'Of the configured currency.', example: '25' }),
  kind: z
    .enum(CREDIT_KINDS)
    .default('paid')
    .meta({
      description:
        'paid: money the customer paid, refundable while unused. trial: spent first, never refunded.',
    }),
  idempotency_key: idempotencyKeyField,
})

export const creditAccountRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts/{id}/credit',
    operationId: 'creditAccount',
    tag: 'admin',
    summary: 'Add money',
    params: accountIdParams,
    headers: repeatHeaders,
    body: creditSchema,
    example: { amount: '25', idempotency_key: 'invoice 2026-0042' },
    answers: {
      200: {
        description: 'What was added, and the account as it stands.',
        schema: movedSchema
          .extend({ object: z.literal('credit'), kind: z.enum(CREDIT_KINDS), transfer_id: z.string() })
          .meta({ id: 'Credit' }),
      },
    },
    errors: ['not_found', 'idempotency_conflict'],
  },
  async (call) => {
    const { context, params, body } = call
    const { kind, amount } = body
    const transferId = await creditAccount(context, { ...orderOf(call), kind, amountMicros: amount })
    return {
      object: 'credit',
      kind,
      transfer_id: transferId,
      ...(await movedJson(context, params.id, amount)),
    }
  },
)
