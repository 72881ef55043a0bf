import { z } from 'zod'
import { originOf } from '../../../http/request-headers.ts'
import { accountRoute } from '../../../http/route.ts'
import { createEndpoint } from '../../../webhooks/endpoint-store.ts'
import { VIDEO_EVENTS } from '../../../webhooks/event.ts'
import {
  endpointFields,
  endpointUrl,
  endpointWithSecretJson,
  endpointWithSecretSchema,
  eventsOf,
  ONE_NAME_OF_EVENTS,
} from './endpoint-json.ts'

export const createWebhookEndpointRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/webhook_endpoints',
    operationId: 'createWebhookEndpoint',
    tag: 'webhooks',
    summary: 'Have events sent to a URL',
    description:
      'At most 20 for an account. The secret is shown in this answer and never again; deliveries verify with it as Standard Webhooks.',
    body: z.strictObject({ url: endpointUrl, ...endpointFields }).meta(ONE_NAME_OF_EVENTS),
    example: { url: 'https://example.com/hooks/sluice', events: ['video.completed', 'video.failed'] },
    isLong: true,
    answers: { 200: { description: 'The endpoint, with its secret.', schema: endpointWithSecretSchema } },
    errors: ['state_conflict'],
  },
  async ({ context, key, body, request }) => {
    const { url, name = '' } = body
    const asked = { accountId: key.accountId, url, name, events: eventsOf(body) ?? VIDEO_EVENTS }
    const rules = { allowHosts: context.config.webhookAllowHosts }
    return endpointWithSecretJson(await createEndpoint(context.db, rules, asked, originOf(request)))
  },
)
