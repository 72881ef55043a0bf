import { z } from 'zod'
import { accountRoute } from '../../http/route.ts'
import { ENDPOINT_EVENTS, type EndpointEvent } from '../../webhooks/event.ts'

const EVENT_TYPES: EndpointEvent[] = [...ENDPOINT_EVENTS]

export const listWebhookEventTypesRoute = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_event_types',
    operationId: 'listWebhookEventTypes',
    tag: 'webhooks',
    summary: 'The events an endpoint can ask for',
    answers: {
      200: {
        description: 'All of them.',
        schema: z
          .object({ object: z.literal('list'), data: z.array(z.enum(ENDPOINT_EVENTS)) })
          .meta({ id: 'WebhookEventTypeList' }),
      },
    },
    errors: [],
  },
  async () => ({ object: 'list', data: EVENT_TYPES }),
)
