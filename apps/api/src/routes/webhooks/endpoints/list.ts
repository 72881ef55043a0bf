import { z } from 'zod'
import { lookUpPageQuery, pageJson, pageSchema } from '../../../http/pages.ts'
import { accountRoute } from '../../../http/route.ts'
import { listEndpoints } from '../../../webhooks/endpoint-store.ts'
import { endpointJson, endpointSchema } from './endpoint-json.ts'

export const listWebhookEndpointsRoute = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_endpoints',
    operationId: 'listWebhookEndpoints',
    tag: 'webhooks',
    summary: "The account's endpoints, newest first",
    query: z.strictObject(lookUpPageQuery),
    answers: { 200: { description: 'A page.', schema: pageSchema(endpointSchema, 'WebhookEndpointList') } },
    errors: ['not_found'],
  },
  async ({ context, key, query }) => {
    const { endpoints, hasMore } = await listEndpoints(context.db, key.accountId, query)
    return pageJson({ data: endpoints.map(endpointJson), hasMore })
  },
)
