import { z } from 'zod'
import { JsonReply } from '../../http/reply.ts'
import { publicRoute } from '../../http/route.ts'
import { findMissingParts } from '../../readiness.ts'

const readySchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    missing: z.array(z.object({ part: z.string(), problem: z.string() })),
  })
  .meta({ id: 'Ready' })

export const readyRoute = publicRoute(
  {
    method: 'get',
    path: '/ready',
    operationId: 'ready',
    tag: 'service',
    summary: 'A video can be made now',
    description:
      '200 only when database, queue and store answer and a worker for the default model is connected.',
    answers: {
      200: { description: 'Ready.', schema: readySchema },
      503: { description: 'What is missing.', schema: readySchema },
    },
    errors: [],
  },
  async ({ context }) => {
    const missing = await findMissingParts(context)
    return missing.length === 0
      ? { status: 'ready', missing }
      : new JsonReply({ status: 'not_ready', missing }, { status: 503 })
  },
)
