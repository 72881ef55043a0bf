import { z } from 'zod'
import { accountRoute } from '../../../http/route.ts'
import { deleteEndpoint } from '../../../webhooks/endpoint-store.ts'
import { endpointIdParams } from './endpoint-json.ts'

export const deleteWebhookEndpointRoute = accountRoute(
  'videos:write',
  {
    method: 'delete',
    path: '/v1/webhook_endpoints/{id}',
    operationId: 'deleteWebhookEndpoint',
    tag: 'webhooks',
    summary: 'Delete an endpoint',
    description: 'Nothing more is sent to it, not even what waits.',
    params: endpointIdParams,
    answers: {
      200: {
        description: 'It is gone.',
        schema: z.object({
          id: z.string(),
          object: z.literal('webhook_endpoint.deleted'),
          deleted: z.literal(true),
        }),
      },
    },
    errors: ['not_found'],
  },
  async ({ context, key, params }) => {
    await deleteEndpoint(context.db, key.accountId, params.id)
    return { id: params.id, object: 'webhook_endpoint.deleted', deleted: true }
  },
)
