import { LEASE_MS } from '@sluice/shared/attempt-contract'
import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { one } from '../db/database.ts'

const CHECK_MS_MAX = 3_000

/** GET /health: this process answers. */
export const health: RequestHandler = (_request, response) => {
  response.json({ status: 'ok' })
}

/** GET /ready: 200 only when database, queue and store answer and a worker for the default model is connected; else 503 with what is missing. */
export function ready(context: Context): RequestHandler {
  return async (_request, response) => {
    const checks = {
      database: await check(() => context.db.query({ text: 'select 1' })),
      queue: await check(() => context.producer.ping()),
      store: await check(() => context.store.ping()),
      worker: await check(() => requireWorker(context)),
    }
    const missing = Object.entries(checks).flatMap(([part, problem]) => (problem === null ? [] : [{ part, problem }]))
    response.status(missing.length === 0 ? 200 : 503).json({ status: missing.length === 0 ? 'ready' : 'not_ready', missing })
  }
}

async function requireWorker(context: Context): Promise<void> {
  const { workers } = one(
    await context.db.query<{ workers: bigint }>({
      text: `select count(*) as workers from worker where slots > 0 and not draining and $1 = any (models)
      and heartbeat_at > now() - make_interval(secs => $2)`,
      values: [context.config.defaultModel, LEASE_MS / 1_000],
    }),
  )
  if (workers === 0n) throw new Error(`no worker for ${context.config.defaultModel} is connected`)
}

/** What is wrong with a part, or null. */
async function check(work: () => Promise<unknown>): Promise<string | null> {
  const timeout = AbortSignal.timeout(CHECK_MS_MAX)
  const late = new Promise<never>((_, reject) => {
    timeout.addEventListener('abort', () => reject(new Error(`no answer within ${CHECK_MS_MAX} ms`)), { once: true })
  })
  try {
    await Promise.race([work(), late])
    return null
  } catch (error) {
    return (error as Error).message
  }
}
