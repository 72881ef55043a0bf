import { z } from 'zod'
import { originOf } from '../../../http/request-headers.ts'
import { accountRoute } from '../../../http/route.ts'
import { rotateEndpoint } from '../../../webhooks/endpoint-store.ts'
import { endpointIdParams, endpointWithSecretJson, endpointWithSecretSchema } from './endpoint-json.ts'

const answers = {
  200: { description: 'The endpoint, with its new secret.', schema: endpointWithSecretSchema },
}

export const rotateWebhookEndpointRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/webhook_endpoints/{id}/rotate',
    operationId: 'rotateWebhookEndpoint',
    tag: 'webhooks',
    summary: 'Draw another secret',
    description:
      'Shown in this answer and never again. For 24 hours deliveries carry a signature of each, the new secret and the one before.',
    params: endpointIdParams,
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, params, request }) => {
    const how = { keepsOld: true, isRepeat: originOf(request).isRepeat }
    return endpointWithSecretJson(await rotateEndpoint(context.db, key.accountId, params.id, how))
  },
)

/** As the openai packages ask for it. */
export const rotateWebhookEndpointSecretRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/webhook_endpoints/{id}/rotate_secret',
    operationId: 'rotateWebhookEndpointSecret',
    tag: 'webhooks',
    summary: 'Draw another secret, as the openai packages ask for it',
    description: 'The secret before it signs no longer, unless it is asked to be kept.',
    params: endpointIdParams,
    body: z.strictObject({
      keep_old_secret_active_for_24_hours: z
        .boolean()
        .default(false)
        .meta({ description: 'Let the secret before it sign as well meanwhile.' }),
    }),
    example: { keep_old_secret_active_for_24_hours: true },
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, params, body, request }) => {
    const how = { keepsOld: body.keep_old_secret_active_for_24_hours, isRepeat: originOf(request).isRepeat }
    return endpointWithSecretJson(await rotateEndpoint(context.db, key.accountId, params.id, how))
  },
)
