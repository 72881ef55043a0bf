import { z } from 'zod'
import { accountRoute } from '../http/route.ts'
import { updateEndpoint } from '../webhooks/endpoint-store.ts'
import { endpointEvents, endpointIdParams, endpointJson, endpointSchema, endpointUrl } from './webhook-json.ts'

export const updateWebhookEndpoint = accountRoute(
  'videos:write',
  {
    ...{ method: 'patch', path: '/v1/webhook_endpoints/{id}', operationId: 'updateWebhookEndpoint', tag: 'webhooks' },
    summary: 'Change an endpoint',
    description:
      'What is left out stays. Deliveries that wait go to the new URL. A disabled endpoint gets no events, and what waits for it fails when it is due.',
    params: endpointIdParams,
    body: z.strictObject({ url: endpointUrl.optional(), events: endpointEvents.optional(), disabled: z.boolean().optional() }),
    example: { disabled: true },
    answers: { 200: { description: 'The endpoint as it is now.', schema: endpointSchema } },
    errors: ['not_found'],
  },
  async ({ context, key, params, body, response }) => {
    const rules = { allowHosts: context.config.webhookAllowHosts }
    response.json(endpointJson(await updateEndpoint(context.db, rules, key.accountId, params.id, body)))
  },
)
