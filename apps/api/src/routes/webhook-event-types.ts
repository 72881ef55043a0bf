import { z } from 'zod'
import { accountRoute } from '../http/route.ts'
import { VIDEO_EVENTS } from '../webhooks/event.ts'

export const listWebhookEventTypes = accountRoute(
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
          .object({ object: z.literal('list'), data: z.array(z.enum(VIDEO_EVENTS)) })
          .meta({ id: 'WebhookEventTypeList' }),
      },
    },
    errors: [],
  },
  async ({ response }) => {
    response.json({ object: 'list', data: VIDEO_EVENTS })
  },
)
