import pg from 'pg'
import { TIME_LIMITS } from './time-limits.ts'

/** An answer of PostgreSQL was due and did not come: the connection is dead, whatever TCP thinks of it. */
export class SilentServerError extends Error {
  override readonly name = 'SilentServerError'
}

export interface ClientLimits {
  /** For each answer, from the sending of its query on; a query's own `limitMs` comes before it. */
  answerMs: number
  /** A connection that listens is asked so often whether it is there, and must answer so soon. */
  listenAskEveryMs?: number
  listenAnswerMs?: number
}

class ClientWithLimits extends pg.Client {
  readonly #limits: Required<ClientLimits>
  #unanswered = 0
  #listening: NodeJS.Timeout | undefined

  constructor(config: pg.ClientConfig & Partial<ClientLimits> = {}) {
    super({ connectionTimeoutMillis: TIME_LIMITS.database.connectMs, ...config })
    this.#limits = { ...TIME_LIMITS.database, ...config }
    // A broken connection fails its queries too; without a listener its error would end the process.
    this.on('error', () => {})
    this.once('end', () => clearInterval(this.#listening))
  }

  /** As the driver's own, in all its forms; `never` fits the results of all of them. */
  override query(...args: unknown[]): never {
    const { limitMs, text } = readQuery(args[0])
    const answerMs = limitMs ?? this.#limits.answerMs
    this.#unanswered += 1
    const timer = setTimeout(() => {
      this.#destroy(new SilentServerError(`PostgreSQL did not answer within ${answerMs} ms`))
    }, answerMs)
    const answered = () => {
      this.#unanswered -= 1
      clearTimeout(timer)
    }
    this.#sendTogether()
    if (/^\s*listen\s/i.test(text)) this.#askWhileListening()
    const callback = args.at(-1)
    if (typeof callback === 'function') {
      const report = (...outcome: unknown[]) => {
        answered()
        callback(...outcome)
      }
      return super.query(...([...args.slice(0, -1), report] as unknown as [string])) as never
    }
    const result = super.query(...(args as [string]))
    result.then(answered, answered)
    return result as never
  }

  /** As the driver's own, but a server that does not take leave is left without. */
  override end(...args: unknown[]): never {
    const timer = setTimeout(() => this.#destroy(), TIME_LIMITS.database.closeMs)
    timer.unref()
    this.once('end', () => clearTimeout(timer))
    return super.end(...(args as [])) as never
  }

  /** What is asked in one turn goes out in one packet. */
  #sendTogether(): void {
    const { stream } = (this as unknown as { connection: pg.Connection }).connection
    if (stream.writableCorked > 0) return
    stream.cork()
    process.nextTick(() => stream.uncork())
  }

  #askWhileListening(): void {
    const { listenAskEveryMs, listenAnswerMs } = this.#limits
    this.#listening ??= setInterval(() => {
      if (this.#unanswered > 0 || this.getTransactionStatus() !== 'I') return
      const asked: Promise<unknown> = this.query({ text: 'select 1', limitMs: listenAnswerMs })
      asked.catch(() => {})
    }, listenAskEveryMs)
  }

  #destroy(error?: Error): void {
    const { connection } = this as unknown as { connection: pg.Connection }
    connection.stream.destroy(error)
  }
}

/**
 * A PostgreSQL client that notices silence: a query that is not answered in time fails with
 * SilentServerError, and its connection is destroyed, so that no pool hands it out again. A connection that
 * listens, and so may rightly be silent, is asked every few seconds whether it is still there.
 */
export const BoundedClient: new (config: pg.ClientConfig & Partial<ClientLimits>) => pg.Client =
  ClientWithLimits

/** A connection pool of such clients. When one of them meets silence, those that are idle are not trusted. */
export function openPool(config: pg.PoolConfig & ClientLimits): pg.Pool {
  const pool = new pg.Pool({ ...config, Client: ClientWithLimits, keepAlive: true })
  pool.on('connect', (client) => {
    client.on('error', (error) => {
      if (error instanceof SilentServerError) closeIdle(pool).catch(() => {})
    })
  })
  return pool
}

async function closeIdle(pool: pg.Pool): Promise<void> {
  for (let idle = pool.idleCount; idle > 0 && !pool.ending; idle -= 1) (await pool.connect()).release(true)
}

/** The startup options that give a connection these settings, whatever its role or database has. */
export function startupOptions(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ')
}

function readQuery(query: unknown): { text: string; limitMs?: number } {
  if (typeof query === 'string') return { text: query }
  const { text, limitMs } = query as { text?: unknown; limitMs?: number }
  return { text: typeof text === 'string' ? text : '', ...(limitMs === undefined ? {} : { limitMs }) }
}
