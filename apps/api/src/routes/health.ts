import { z } from 'zod'
import { publicRoute } from '../http/route.ts'
import type { Services } from '../services.ts'
import { readCapabilities } from '../workers/pool-capabilities.ts'

const CHECK_MS_MAX = 3_000

export const health = publicRoute(
  {
    method: 'get',
    path: '/health',
    operationId: 'health',
    tag: 'service',
    summary: 'This process answers',
    answers: { 200: { description: 'It does.', schema: z.object({ status: z.literal('ok') }) } },
    errors: [],
  },
  async ({ response }) => {
    response.json({ status: 'ok' })
  },
)

const readySchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    missing: z.array(z.object({ part: z.string(), problem: z.string() })),
  })
  .meta({ id: 'Ready' })

export const ready = publicRoute(
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
  async ({ context, response }) => {
    const checks = {
      database: await check(() => context.db.query({ text: 'select 1' })),
      queue: await check(() => context.producer.ping()),
      store: await check(() => context.store.ping()),
      worker: await check(() => requireWorker(context)),
    }
    const missing = Object.entries(checks).flatMap(([part, problem]) =>
      problem === null ? [] : [{ part, problem }],
    )
    response
      .status(missing.length === 0 ? 200 : 503)
      .json({ status: missing.length === 0 ? 'ready' : 'not_ready', missing })
  },
)

async function requireWorker(context: Services): Promise<void> {
  const { defaultModel } = context.config
  const capabilities = await readCapabilities(context.db, context.config)
  if (!capabilities.has(defaultModel)) throw new Error(`no worker for ${defaultModel} is connected`)
}

/** What is wrong with a part, or null. */
async function check(work: () => Promise<unknown>): Promise<string | null> {
  const timeout = AbortSignal.timeout(CHECK_MS_MAX)
  const late = new Promise<never>((_, reject) => {
    timeout.addEventListener('abort', () => reject(new Error(`no answer within ${CHECK_MS_MAX} ms`)), {
      once: true,
    })
  })
  try {
    await Promise.race([work(), late])
    return null
  } catch (error) {
    return (error as Error).message
  }
}
