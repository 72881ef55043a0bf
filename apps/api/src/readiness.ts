import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import type { Context } from './context.ts'
import { DatabaseUnavailableError } from './errors.ts'
import { isGateLed } from './gate/leadership.ts'
import { readCapabilities } from './workers/pool-capabilities.ts'
import { readUntakenQueues } from './workers/queue-delivery.ts'

const CHECK_MS_MAX = 3_000
const KEPT_MS = 1_000
/** A worker comes a few seconds after its API: until then it is missing at every start. */
const STARTS_WITHIN_MS = 10_000

/** A part without which no video can be made now, and what is wrong with it. */
export interface MissingPart {
  part: string
  problem: string
}

/** What is missing, looked up at most once a second, whoever asks and however often. */
export class Readiness {
  readonly #context: Context
  readonly #internal: Context
  readonly #missing = new SnapshotCache<MissingPart[]>({ keptMsMin: KEPT_MS, keptMsMax: KEPT_MS })
  #logged: string | null = null
  #startsUntilMs: number

  /** `internal` is the same context on the connections of workers' calls and the gate. */
  constructor(context: Context, internal: Context, startsWithinMs = STARTS_WITHIN_MS) {
    this.#context = context
    this.#internal = internal
    this.#startsUntilMs = performance.now() + startsWithinMs
  }

  /** What was missing at most a second ago. */
  missingParts(): Promise<MissingPart[]> {
    return this.#missing.get(() => this.#findAndLog())
  }

  /** A change is logged, since a stranger who sees it is not told why. */
  async #findAndLog(): Promise<MissingPart[]> {
    const missing = await findMissingParts(this.#context, this.#internal)
    if (missing.length === 0) this.#startsUntilMs = 0
    else if (performance.now() < this.#startsUntilMs) return missing
    const shown = missing.map(({ part, problem }) => `${part}: ${problem}`).join('; ')
    if (shown !== this.#logged) {
      this.#logged = shown
      if (missing.length === 0) this.#context.log.info('ready')
      else this.#context.log.warn(`not ready: ${shown}`)
    }
    return missing
  }
}

/**
 * Asks database, gate, queue, store and workers, all at once, each for at most 3 s, over the connections that
 * are used.
 */
async function findMissingParts(context: Context, internal: Context): Promise<MissingPart[]> {
  const checks: Record<string, () => Promise<unknown>> = {
    database: () => Promise.all([context, internal].map(({ db }) => db.query({ text: 'select 1' }))),
    gate: () => requireLeader(internal),
    queue: () => context.producer.ping(),
    store: () => context.store.ping(),
    worker: () => requireWorker(internal),
    clock: () => requireClock(internal),
  }
  const problems = await Promise.all(
    Object.entries(checks).map(async ([part, check]) => ({ part, problem: await problemOf(check) })),
  )
  return problems.flatMap(({ part, problem }) => (problem === null ? [] : [{ part, problem }]))
}

async function requireLeader({ db }: Context): Promise<void> {
  if (!(await isGateLed(db))) throw new Error('no process leads the gate')
}

async function requireWorker({ config, db }: Context): Promise<void> {
  const capabilities = await readCapabilities(db, config)
  if (capabilities.has(config.defaultModel)) return
  const untaken = await readUntakenQueues(db, config.timings.leaseMs)
  const left = untaken.map(({ pool, inARow }) => `pool ${pool} (the last ${inARow})`)
  throw new Error(
    left.length === 0
      ? `no worker for ${config.defaultModel} is connected`
      : `no worker for ${config.defaultModel} takes videos; nobody took what was given to ${left.join(', ')}: can its workers reach the queue (REDIS_URL or SLUICE_QUEUE_URL)?`,
  )
}

/** Receivers of webhooks refuse what is dated more than 5 minutes from their own time. */
const CLOCK_APART_MS_MAX = 240_000

/** A part that is away says nothing of the time: it is reported by its own check. */
async function requireClock({ db, store, clock }: Context): Promise<void> {
  const askedAtMs = clock.now()
  const query = { text: 'select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms' }
  const answer = await db.query<{ now_ms: number }>(query).catch(() => null)
  const databaseMs = answer?.rows[0]?.now_ms
  const aheadMs = {
    database: databaseMs === undefined ? 0 : databaseMs - (askedAtMs + clock.now()) / 2,
    store: store.clockAheadMs() ?? 0,
  }
  for (const [part, ms] of Object.entries(aheadMs)) {
    if (Math.abs(ms) <= CLOCK_APART_MS_MAX) continue
    const seconds = Math.round(Math.abs(ms) / 1_000)
    throw new Error(
      `this machine's clock is ${seconds} s ${ms > 0 ? 'behind' : 'ahead of'} that of the ${part}`,
    )
  }
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
    // What a customer is told of it says nothing to an operator.
    const told = error instanceof DatabaseUnavailableError ? error.cause : error
    return (told as Error).message
  }
}
