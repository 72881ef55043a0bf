import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import type { Context } from './context.ts'
import { readCapabilities } from './workers/pool-capabilities.ts'

const CHECK_MS_MAX = 3_000
const KEPT_MS = 1_000

/** A part without which no video can be made now, and what is wrong with it. */
export interface MissingPart {
  part: string
  problem: string
}

/** What is missing, looked up at most once a second, whoever asks and however often. */
export class Readiness {
  readonly #context: Context
  readonly #missing = new SnapshotCache<MissingPart[]>({ keptMsMin: KEPT_MS, keptMsMax: KEPT_MS })
  #logged = '[]'

  constructor(context: Context) {
    this.#context = context
  }

  /** What was missing at most a second ago. */
  missingParts(): Promise<MissingPart[]> {
    return this.#missing.get(() => this.#findAndLog())
  }

  /** A change is logged, since a stranger who sees it is not told why. */
  async #findAndLog(): Promise<MissingPart[]> {
    const missing = await findMissingParts(this.#context)
    const shown = JSON.stringify(missing)
    if (shown !== this.#logged) {
      this.#logged = shown
      if (missing.length === 0) this.#context.log.info('ready')
      else this.#context.log.warn({ missing }, 'not ready')
    }
    return missing
  }
}

/** Asks database, queue, store and workers, all at once, each for at most 3 s. */
async function findMissingParts(context: Context): Promise<MissingPart[]> {
  const checks: Record<string, () => Promise<unknown>> = {
    database: () => context.db.query({ text: 'select 1' }),
    queue: () => context.producer.ping(),
    store: () => context.store.ping(),
    worker: () => requireWorker(context),
  }
  const problems = await Promise.all(
    Object.entries(checks).map(async ([part, check]) => ({ part, problem: await problemOf(check) })),
  )
  return problems.flatMap(({ part, problem }) => (problem === null ? [] : [{ part, problem }]))
}

async function requireWorker({ config, db }: Context): Promise<void> {
  const capabilities = await readCapabilities(db, config)
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
