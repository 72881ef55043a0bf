import { formatMicros } from '@sluice/shared/money'
import type { Request } from 'express'
import { z } from 'zod'
import { readAccount } from '../accounts/account-store.ts'
import { CREDIT_KINDS, creditAccount, refundAccount } from '../accounts/credit.ts'
import { originOf } from '../http/idempotency.ts'
import { scopedRoute } from '../http/route.ts'
import { accountIdParams, accountJson, accountSchema } from './account-json.ts'
import { amountField, idempotencyKeyField } from './admin-fields.ts'

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
const refundSchema = z.strictObject({ idempotency_key: idempotencyKeyField })

const movedSchema = z.object({ amount: z.string(), currency: z.string(), account: accountSchema })

/** The body's key, else the header's. */
function orderKey(body: { idempotency_key?: string | undefined }, request: Request): string | null {
  return body.idempotency_key ?? originOf(request).idempotencyKey
}

export const creditAdminAccount = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts/{id}/credit',
    operationId: 'creditAccount',
    tag: 'admin',
    summary: 'Add money',
    params: accountIdParams,
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
  async ({ context, key, params, body, request, response }) => {
    const { currency } = context.config
    const order = { keyId: key.id, accountId: params.id, idempotencyKey: orderKey(body, request) }
    const transferId = await creditAccount(context, { ...order, kind: body.kind, amountMicros: body.amount })
    response.json({
      object: 'credit',
      kind: body.kind,
      transfer_id: transferId,
      amount: formatMicros(body.amount),
      currency,
      account: accountJson(await readAccount(context.db, params.id), currency),
    })
  },
)

export const refundAdminAccount = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts/{id}/refund',
    operationId: 'refundAccount',
    tag: 'admin',
    summary: 'Take the unused paid balance off, to pay it back',
    description:
      'In full, and never trial credit. What is held stays; what comes back of it when its videos end can be refunded then. Paying the money out is up to you.',
    params: accountIdParams,
    body: refundSchema,
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
          })
          .meta({ id: 'Refund' }),
      },
    },
    errors: ['not_found'],
  },
  async ({ context, key, params, body, request, response }) => {
    const { currency } = context.config
    const order = { keyId: key.id, accountId: params.id, idempotencyKey: orderKey(body, request) }
    const { transferId, amountMicros } = await refundAccount(context, order)
    response.json({
      object: 'refund',
      transfer_id: transferId,
      amount: formatMicros(amountMicros),
      currency,
      account: accountJson(await readAccount(context.db, params.id), currency),
    })
  },
)
