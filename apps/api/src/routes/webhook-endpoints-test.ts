import { accountRoute } from '../http/route.ts'
import { testEndpoint } from '../webhooks/delivery-store.ts'
import { readEndpoint } from '../webhooks/endpoint-store.ts'
import { deliveryJson, deliverySchema, endpointIdParams } from './webhook-json.ts'

export const testWebhookEndpoint = accountRoute(
  'videos:write',
  {
    ...{ method: 'post', path: '/v1/webhook_endpoints/{id}/test', operationId: 'testWebhookEndpoint', tag: 'webhooks' },
    summary: 'Send a test event now',
    description: 'Sends `webhook.test` once, waits up to 10 s for the answer and says what came of it, whether or not that was a success.',
    params: endpointIdParams,
    answers: { 200: { description: 'The delivery.', schema: deliverySchema } },
    errors: ['not_found'],
  },
  async ({ context, key, params, response }) => {
    const { clock, config, db } = context
    const endpoint = await readEndpoint(db, key.accountId, params.id)
    response.json(deliveryJson(await testEndpoint(db, endpoint, { clock, rules: { allowHosts: config.webhookAllowHosts } })))
  },
)
