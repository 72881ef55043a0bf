import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { creditAccount } from '../../../accounts/credit.ts'
import { repeatHeaders } from '../../../http/request-headers.ts'
import { scopedRoute } from '../../../http/route.ts'
import { CREDIT_KINDS } from '../../../ledger/purse.ts'
import { accountIdParams } from '../../account/account-json.ts'
import { amountField } from '../../amount-field.ts'
import { idempotencyKeyField, unixTimeField } from '../fields.ts'
import { expiryOf } from '../keys/key-fields.ts'
import { movedJson, movedSchema, orderOf } from './money-order.ts'

const KINDS = [...CREDIT_KINDS, 'trial'] as const

const creditSchema = z.strictObject({
  amount: amountField(1n).meta({ description: 'Of the configured currency.', example: '25' }),
  kind: z
    .enum(KINDS)
    .default('paid')
    .meta({
      description:
        'paid: money the customer paid, refundable while unused. promotional: nobody paid for it; never refunded. trial: an older name of promotional.',
    }),
  expires_at: unixTimeField
    .optional()
    .meta({
      description:
        'What is left of it then is taken off. What expires sooner is spent first. Without it, it never expires.',
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
          .extend({
            object: z.literal('credit'),
            kind: z.enum(KINDS),
            transfer_id: z.string(),
            credit_id: z
              .string()
              .nullable()
              .meta({ description: 'Names it while it is left; null for what never expires.' }),
            expires_at: z.int().nullable(),
          })
          .meta({ id: 'Credit' }),
      },
    },
    errors: ['not_found', 'idempotency_conflict', 'state_conflict'],
  },
  async (call) => {
    const { context, params, body } = call
    const { kind, amount } = body
    const expiresAt = expiryOf(context.clock, body.expires_at)
    const { transferId, creditId } = await creditAccount(context, {
      ...orderOf(call),
      kind: kind === 'trial' ? 'promotional' : kind,
      amountMicros: amount,
      expiresAt,
    })
    return {
      object: 'credit',
      kind,
      transfer_id: transferId,
      credit_id: creditId,
      expires_at: unixSeconds(expiresAt),
      ...(await movedJson(context, params.id, amount)),
    }
  },
)
