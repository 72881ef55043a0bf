import { z } from 'zod'
import { JsonReply } from '../../http/reply.ts'
import { bearerKey } from '../../http/request-headers.ts'
import { publicRoute } from '../../http/route.ts'
import { allows } from '../../keys/api-key.ts'
import type { Services } from '../../services.ts'

const readySchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    missing: z.array(
      z.object({
        part: z.string(),
        problem: z.string().meta({ description: 'What is wrong with it, in detail with an admin key only.' }),
      }),
    ),
  })
  .meta({ id: 'Ready' })

const UNSAID = 'not ready; an admin key is told why, and so is the log'

export const readyRoute = publicRoute(
  {
    method: 'get',
    path: '/ready',
    operationId: 'ready',
    tag: 'service',
    summary: 'A video can be made now',
    description:
      '200 only when database, queue and store answer and a worker for the default model is connected, as looked up at most a second ago. Without a key it names the parts that are missing; with an admin key it says what is wrong with them.',
    answers: {
      200: { description: 'Ready.', schema: readySchema },
      503: { description: 'What is missing.', schema: readySchema },
    },
    errors: [],
  },
  async ({ context, request }) => {
    const missing = await context.readiness.missingParts()
    if (missing.length === 0) return { status: 'ready', missing }
    const isTold = await isOperator(context, request)
    const told = isTold ? missing : missing.map(({ part }) => ({ part, problem: UNSAID }))
    return new JsonReply({ status: 'not_ready', missing: told }, { status: 503 })
  },
)

/** Whether the request carries an admin key. Whatever else it carries makes it a stranger's. */
async function isOperator(context: Services, request: Parameters<typeof bearerKey>[0]): Promise<boolean> {
  try {
    const key = await context.keyReaders.customers.read(bearerKey(request))
    return allows(key.scopes, 'admin:read')
  } catch {
    return false
  }
}
