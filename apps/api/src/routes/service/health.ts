import { z } from 'zod'
import { publicRoute } from '../../http/route.ts'

export const healthRoute = publicRoute(
  {
    method: 'get',
    path: '/health',
    operationId: 'health',
    tag: 'service',
    summary: 'This process answers',
    answers: { 200: { description: 'It does.', schema: z.object({ status: z.literal('ok') }) } },
    errors: [],
  },
  async () => ({ status: 'ok' }),
)
