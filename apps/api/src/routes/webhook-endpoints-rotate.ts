import { accountRoute } from '../http/route.ts'
import { rotateEndpoint } from '../webhooks/endpoint-store.ts'
import { endpointIdParams, endpointJson, endpointWithSecretSchema } from './webhook-json.ts'

export const rotateWebhookEndpoint = accountRoute(
  'videos:write',
  {
    ...{ method: 'post', path: '/v1/webhook_endpoints/{id}/rotate', operationId: 'rotateWebhookEndpoint', tag: 'webhooks' },
    summary: 'Draw another secret',
    description:
      'Shown in this answer and never again. For 24 hours deliveries carry a signature of each, the new secret and the one before.',
    params: endpointIdParams,
    answers: { 200: { description: 'The endpoint, with its new secret.', schema: endpointWithSecretSchema } },
    errors: ['not_found'],
  },
  async ({ context, key, params, response }) => {
    const endpoint = await rotateEndpoint(context.db, key.accountId, params.id)
    response.json({ ...endpointJson(endpoint), secret: endpoint.secret })
  },
)
