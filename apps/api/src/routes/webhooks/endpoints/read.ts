import { accountRoute } from '../../../http/route.ts'
import { readEndpoint } from '../../../webhooks/endpoint-store.ts'
import { endpointIdParams, endpointJson, endpointSchema } from './endpoint-json.ts'

export const readWebhookEndpointRoute = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_endpoints/{id}',
    operationId: 'readWebhookEndpoint',
    tag: 'webhooks',
    summary: 'One endpoint',
    params: endpointIdParams,
    answers: { 200: { description: 'The endpoint, without its secret.', schema: endpointSchema } },
    errors: ['not_found'],
  },
  async ({ context, key, params }) => endpointJson(await readEndpoint(context.db, key.accountId, params.id)),
)
