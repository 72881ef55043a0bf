import { heartbeatAnswerSchema, heartbeatSchema } from '@sluice/shared/attempt-contract'
import { applyHeartbeat } from '../../attempts/apply-heartbeat.ts'
import { refusingUnstorable } from '../../attempts/unstorable.ts'
import { scopedRoute } from '../../http/route.ts'

export const heartbeatRoute = scopedRoute(
  'worker',
  {
    method: 'post',
    path: '/internal/heartbeat',
    operationId: 'heartbeat',
    tag: 'service',
    summary: 'A worker lives, and owns these attempts',
    body: heartbeatSchema,
    answers: { 200: { description: 'What to do with each attempt.', schema: heartbeatAnswerSchema } },
    errors: ['worker_id_in_use'],
  },
  async ({ context, key, body }) => refusingUnstorable(() => applyHeartbeat(context.internal, key.id, body)),
)
