import { pause } from '@sluice/shared/pause'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../embedded-postgres/start-embedded-postgres.ts'
import { settlesWithin } from '../processes/stop-process.ts'
import { type BackoffSettings, createBackoff } from './backoff.ts'

/** For what comes after a forced stop: the kernel's part, and backends that are ended one by one. */
const STOP_MARGIN_MS = 3_000

export interface SupervisedPostgresOptions {
  dir: string
  backoff: BackoffSettings
  onLine(line: string): void
  onDeath(how: string, waitMs: number): void
  /** It accepts connections again after a death. */
  onReturn(): void
  /** It came back on another port, since its own was taken meanwhile: its clients need the new URL. */
  onMoved(): void
}

export interface SupervisedPostgres {
  /** Resolves once it accepts connections; rejects when that start fails or is given up. */
  start(giveUp: AbortSignal): Promise<void>
  /** The server that runs now, or ran last. Throws before the first start. */
  current(): EmbeddedPostgres
  /** Resolves with false when something of it is left, or a start of it goes on, after that time. */
  stop(withinMs: number): Promise<boolean>
}

/** Keeps an embedded PostgreSQL running on one dir. */
export function supervisePostgres(options: SupervisedPostgresOptions): SupervisedPostgres {
  const stopping = new AbortController()
  let server: EmbeddedPostgres | null = null
  let keeping: Promise<void> = Promise.resolve()
  const startServer = (giveUp: AbortSignal, cluster: 'any' | 'existing') =>
    startEmbeddedPostgres({ dir: options.dir, onLog: options.onLine, signal: giveUp, cluster })

  const keep = async (first: EmbeddedPostgres): Promise<void> => {
    const backoff = createBackoff(options.backoff)
    let running = first
    while (!stopping.signal.aborted) {
      const startedAt = performance.now()
      const { code, signal } = await running.exited
      let how = signal === null ? `exit code ${code}` : `signal ${signal}`
      let next: EmbeddedPostgres | null = null
      while (next === null) {
        if (stopping.signal.aborted) return
        const waitMs = backoff(performance.now() - startedAt)
        options.onDeath(how, waitMs)
        await pause(waitMs, stopping.signal)
        if (stopping.signal.aborted) return
        next = await startServer(stopping.signal, 'existing').catch((error: unknown) => {
          how = error instanceof Error ? error.message : String(error)
          return null
        })
      }
      const moved = next.databaseUrl !== running.databaseUrl
      running = next
      server = next
      options.onReturn()
      if (moved) options.onMoved()
    }
  }

  return {
    async start(giveUp) {
      server = await startServer(giveUp, 'any')
      keeping = keep(server)
    },
    current() {
      if (server === null) throw new Error('PostgreSQL has not started')
      return server
    },
    async stop(withinMs) {
      stopping.abort()
      const stopAll = async () => {
        await server?.stop(withinMs)
        await keeping
        // It may have been starting again when the stop was asked for.
        await server?.stop(withinMs)
      }
      return settlesWithin(withinMs + STOP_MARGIN_MS, stopAll())
    },
  }
}
