import { z } from 'zod'
import { accountRoute, type Route } from '../../../http/route.ts'
import { updateEndpoint } from '../../../webhooks/endpoint-store.ts'
import {
  endpointFields,
  endpointIdParams,
  endpointJson,
  endpointSchema,
  endpointUrl,
  eventsOf,
  ONE_NAME_OF_EVENTS,
} from './endpoint-json.ts'

function updateRoute(method: 'patch' | 'post', operationId: string, summary: string): Route {
  return accountRoute(
    'videos:write',
    {
      method,
      path: '/v1/webhook_endpoints/{id}',
      operationId,
      tag: 'webhooks',
      summary,
      description:
        'What is left out stays. Deliveries that wait go to the new URL. A disabled endpoint gets no events, and what waits for it fails when it is due.',
      params: endpointIdParams,
      body: z
        .strictObject({ url: endpointUrl.optional(), ...endpointFields, disabled: z.boolean().optional() })
        .meta(ONE_NAME_OF_EVENTS),
      example: { disabled: true },
      isLong: true,
      answers: { 200: { description: 'The endpoint as it is now.', schema: endpointSchema } },
      errors: ['not_found'],
    },
    async ({ context, key, params, body }) => {
      const { url, name, disabled } = body
      const changes = { url, name, disabled, events: eventsOf(body) }
      const rules = { allowHosts: context.config.webhookAllowHosts }
      const target = { accountId: key.accountId, endpointId: params.id }
      return endpointJson(await updateEndpoint(context.db, rules, target, changes))
    },
  )
}

export const updateWebhookEndpointRoute = updateRoute('patch', 'updateWebhookEndpoint', 'Change an endpoint')

/** As the openai packages ask for it. */
export const postWebhookEndpointRoute = updateRoute(
  'post',
  'postWebhookEndpoint',
  'Change an endpoint, as the openai packages ask for it',
)
