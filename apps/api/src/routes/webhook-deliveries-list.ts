import { accountRoute } from '../http/route.ts'
import { listDeliveries } from '../webhooks/delivery-store.ts'
import { readEndpoint } from '../webhooks/endpoint-store.ts'
import { deliveryListJson, deliveryListSchema, endpointIdParams, webhookPageQuery } from './webhook-json.ts'

const answers = { 200: { description: 'One page.', schema: deliveryListSchema } }

export const listEndpointDeliveries = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_endpoints/{id}/deliveries',
    operationId: 'listWebhookEndpointDeliveries',
    tag: 'webhooks',
    summary: "An endpoint's deliveries and every try at them, newest first",
    description: 'Kept for 30 days.',
    params: endpointIdParams,
    query: webhookPageQuery,
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, params, query, response }) => {
    const { id } = await readEndpoint(context.db, key.accountId, params.id)
    response.json(
      deliveryListJson(await listDeliveries(context.db, key.accountId, { endpointId: id, ...pageOf(query) })),
    )
  },
)

export const listWebhookDeliveries = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_deliveries',
    operationId: 'listWebhookDeliveries',
    tag: 'webhooks',
    summary: "All of the account's deliveries, newest first",
    description: "With those to videos' own webhook_url. Kept for 30 days.",
    query: webhookPageQuery,
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, query, response }) => {
    response.json(
      deliveryListJson(
        await listDeliveries(context.db, key.accountId, { endpointId: null, ...pageOf(query) }),
      ),
    )
  },
)

function pageOf(query: { after?: string | undefined; limit: number }): {
  after: string | undefined
  limit: number
} {
  return { after: query.after, limit: query.limit }
}
