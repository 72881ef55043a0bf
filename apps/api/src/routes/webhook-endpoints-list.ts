import { z } from 'zod'
import { accountRoute } from '../http/route.ts'
import { listEndpoints } from '../webhooks/endpoint-store.ts'
import { endpointJson, endpointSchema } from './webhook-json.ts'

export const listWebhookEndpoints = accountRoute(
  'videos:write',
  {
    ...{ method: 'get', path: '/v1/webhook_endpoints', operationId: 'listWebhookEndpoints', tag: 'webhooks' },
    summary: "The account's endpoints, oldest first",
    answers: {
      200: {
        description: 'All of them.',
        schema: z
          .object({
            object: z.literal('list'),
            data: z.array(endpointSchema),
            first_id: z.string().nullable(),
            last_id: z.string().nullable(),
            has_more: z.literal(false),
          })
          .meta({ id: 'WebhookEndpointList' }),
      },
    },
    errors: [],
  },
  async ({ context, key, response }) => {
    const endpoints = await listEndpoints(context.db, key.accountId)
    response.json({
      object: 'list',
      data: endpoints.map(endpointJson),
      ...{ first_id: endpoints[0]?.id ?? null, last_id: endpoints.at(-1)?.id ?? null, has_more: false },
    })
  },
)
