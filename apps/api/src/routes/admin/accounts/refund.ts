import { z } from 'zod'
import { refundAccount } from '../../../accounts/credit.ts'
import { repeatHeaders } from '../../../http/request-headers.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountIdParams } from '../../account/account-json.ts'
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
      ...(await movedJson(context, params.id, amountMicros)),
    }
  },
)
