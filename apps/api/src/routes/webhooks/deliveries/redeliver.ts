import { accountRoute } from '../../../http/route.ts'
import { redeliver } from '../../../webhooks/delivery-store.ts'
import { deliveryIdParams, deliveryJson, deliverySchema } from './delivery-json.ts'

export const redeliverWebhookRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/webhook_deliveries/{id}/redeliver',
    operationId: 'redeliverWebhook',
    tag: 'webhooks',
    summary: 'Send a delivery again',
    description:
      'At once and, should that fail, for another 72 hours, whatever became of it before. The event keeps its id.',
    params: deliveryIdParams,
    isLong: true,
    answers: { 200: { description: 'The delivery, pending.', schema: deliverySchema } },
    errors: ['not_found', 'state_conflict'],
  },
  async ({ context, key, params }) => deliveryJson(await redeliver(context.db, key.accountId, params.id)),
)
