import type { Context } from './context.ts'
import { readCapabilities } from './workers/pool-capabilities.ts'

const CHECK_MS_MAX = 3_000

/** A part without which no video can be made now, and what is wrong with it. */
export interface MissingPart {
  part: string
  problem: string
}

/** Asks database, queue, store and workers, one after the other, each for at most 3 s. */
export async function findMissingParts(context: Context): Promise<MissingPart[]> {
  const problems = {
    database: await problemOf(() => context.db.query({ text: 'select 1' })),
    queue: await problemOf(() => context.producer.ping()),
    store: await problemOf(() => context.store.ping()),
    worker: await problemOf(() => requireWorker(context)),
  }
  return Object.entries(problems).flatMap(([part, problem]) => (problem === null ? [] : [{ part, problem }]))
}

async function requireWorker({ config, db }: Context): Promise<void> {
  const capabilities = await readCapabilities(db, config.catalogue)
  if (!capabilities.has(config.defaultModel))
    throw new Error(`no worker for ${config.defaultModel} is connected`)
}

/** Why `check` fails, or null. */
async function problemOf(check: () => Promise<unknown>): Promise<string | null> {
  const timeout = AbortSignal.timeout(CHECK_MS_MAX)
  const late = new Promise<never>((_, reject) => {
    timeout.addEventListener('abort', () => reject(new Error(`no answer within ${CHECK_MS_MAX} ms`)), {
      once: true,
    })
  })
  try {
    await Promise.race([check(), late])
    return null
  } catch (error) {
    return (error as Error).message
  }
}
