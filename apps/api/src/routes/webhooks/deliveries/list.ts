import { z } from 'zod'
import { lookUpPageQuery } from '../../../http/pages.ts'
import { accountRoute } from '../../../http/route.ts'
import { listDeliveries } from '../../../webhooks/delivery-store.ts'
import { readEndpoint } from '../../../webhooks/endpoint-store.ts'
import { endpointIdParams } from '../endpoints/endpoint-json.ts'
import { deliveryPageJson, deliveryPageSchema } from './delivery-json.ts'

const pageQuery = z.strictObject(lookUpPageQuery)
const answers = { 200: { description: 'One page.', schema: deliveryPageSchema } }

export const listWebhookEndpointDeliveriesRoute = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_endpoints/{id}/deliveries',
    operationId: 'listWebhookEndpointDeliveries',
    tag: 'webhooks',
    summary: "An endpoint's deliveries and every try at them, newest first",
    description: 'Kept for 30 days.',
    params: endpointIdParams,
    query: pageQuery,
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, params, query: { after, limit } }) => {
    const { id } = await readEndpoint(context.db, key.accountId, params.id)
    const page = { endpointId: id, after, limit }
    return deliveryPageJson(await listDeliveries(context.db, key.accountId, page))
  },
)

export const listWebhookDeliveriesRoute = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_deliveries',
    operationId: 'listWebhookDeliveries',
    tag: 'webhooks',
    summary: "All of the account's deliveries, newest first",
    description: "With those to videos' own webhook_url. Kept for 30 days.",
    query: pageQuery,
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, query: { after, limit } }) => {
    const page = { endpointId: null, after, limit }
    return deliveryPageJson(await listDeliveries(context.db, key.accountId, page))
  },
)
