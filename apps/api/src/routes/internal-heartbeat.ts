import { heartbeatAnswerSchema, heartbeatSchema } from '@sluice/shared/attempt-contract'
import { applyHeartbeat } from '../attempts/apply-heartbeat.ts'
import { scopedRoute } from '../http/route.ts'

export const receiveHeartbeat = scopedRoute(
  'worker',
  {
    method: 'post',
    path: '/internal/heartbeat',
    operationId: 'heartbeat',
    tag: 'service',
    summary: 'A worker lives, and holds these attempts',
    body: heartbeatSchema,
    answers: { 200: { description: 'What to do with each attempt.', schema: heartbeatAnswerSchema } },
    errors: [],
  },
  async ({ context, key, body, response }) => {
    response.json(await applyHeartbeat(context, key.id, body))
  },
)
