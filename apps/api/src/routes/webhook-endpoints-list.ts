import { z } from 'zod'
import { accountRoute } from '../http/route.ts'
import { listEndpoints } from '../webhooks/endpoint-store.ts'
import { endpointJson, endpointSchema, webhookPageQuery } from './webhook-json.ts'

export const listWebhookEndpoints = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_endpoints',
    operationId: 'listWebhookEndpoints',
    tag: 'webhooks',
    summary: "The account's endpoints, newest first",
    query: webhookPageQuery,
    answers: {
      200: {
        description: 'A page.',
        schema: z
          .object({
            object: z.literal('list'),
            data: z.array(endpointSchema),
            first_id: z.string().nullable(),
            last_id: z.string().nullable(),
            has_more: z.boolean(),
          })
          .meta({ id: 'WebhookEndpointList' }),
      },
    },
    errors: ['not_found'],
  },
  async ({ context, key, query, response }) => {
    const { endpoints, hasMore } = await listEndpoints(context.db, key.accountId, query)
    response.json({
      object: 'list',
      data: endpoints.map(endpointJson),
      first_id: endpoints[0]?.id ?? null,
      last_id: endpoints.at(-1)?.id ?? null,
      has_more: hasMore,
    })
  },
)
