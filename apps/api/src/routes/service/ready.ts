import { z } from 'zod'
import { JsonReply } from '../../http/reply.ts'
import { bearerKey } from '../../http/request-headers.ts'
import { publicRoute } from '../../http/route.ts'
import { allows } from '../../keys/api-key.ts'
import type { MissingPart } from '../../readiness.ts'
import type { Services } from '../../services.ts'

const partSchema = z.object({
  part: z.string(),
  problem: z.string().meta({ description: 'What is wrong with it, in detail with an admin key only.' }),
})

const readySchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    missing: z.array(partSchema),
    doubtful: z.array(partSchema).meta({ description: 'Parts that work, but not as they should.' }),
  })
  .meta({ id: 'Ready' })

const TOLD_TO = 'an admin key is told why, and so is the log'
const UNSAID = { missing: `not ready; ${TOLD_TO}`, doubtful: `doubtful; ${TOLD_TO}` }

export const readyRoute = publicRoute(
  {
    method: 'get',
    path: '/ready',
    operationId: 'ready',
    tag: 'service',
    summary: 'A video can be made now',
    description:
      '200 only when database, queue and store answer, a process leads the gate, a worker for the default model is connected and the clock is right, as looked up at most a second ago. Without a key it names the parts that are missing; with an admin key it says what is wrong with them.',
    answers: {
      200: { description: 'Ready.', schema: readySchema },
      503: { description: 'What is missing.', schema: readySchema },
    },
    errors: [],
  },
  async ({ context, request }) => {
    const [found, warnings] = await Promise.all([
      context.readiness.missingParts(),
      context.queueWatch.warnings(),
    ])
    const warned = warnings.map((problem) => ({ part: 'queue', problem }))
    const priced = context.livePools.latestWarnings.map(({ problem }) => ({ part: 'price', problem }))
    const isTold = found.length + warned.length + priced.length > 0 && (await isOperator(context, request))
    const tell = (parts: MissingPart[], unsaid: string) =>
      isTold ? parts : parts.map(({ part }) => ({ part, problem: unsaid }))
    const missing = tell(found, UNSAID.missing)
    // What is sold below cost is nobody else's business.
    const doubtful = [...tell(warned, UNSAID.doubtful), ...(isTold ? priced : [])]
    if (missing.length === 0) return { status: 'ready', missing, doubtful }
    return new JsonReply({ status: 'not_ready', missing, doubtful }, { status: 503 })
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
