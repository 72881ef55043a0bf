import { pause } from '@sluice/shared/pause'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../embedded-postgres/start-embedded-postgres.ts'
import { type BackoffSettings, createBackoff } from './backoff.ts'

export interface SupervisedPostgresOptions {
  dir: string
  backoff: BackoffSettings
  onLine(line: string): void
  onDeath(how: string, waitMs: number): void
  /** It came back on another port, since its own was taken meanwhile: its clients need the new URL. */
  onMoved(): void
}

export interface SupervisedPostgres {
  /** Resolves once it accepts connections; rejects when that start fails or is given up. */
  start(giveUp: AbortSignal): Promise<void>
  /** The server that runs now, or ran last. Throws before the first start. */
  current(): EmbeddedPostgres
  stop(withinMs: number): Promise<void>
}

/** Keeps an embedded PostgreSQL running on one dir. */
export function supervisePostgres(options: SupervisedPostgresOptions): SupervisedPostgres {
  const stopping = new AbortController()
  let server: EmbeddedPostgres | null = null
  let keeping: Promise<void> = Promise.resolve()
  const startServer = (giveUp: AbortSignal) =>
    startEmbeddedPostgres({ dir: options.dir, onLog: options.onLine, signal: giveUp })

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
        next = await startServer(stopping.signal).catch((error: unknown) => {
          how = error instanceof Error ? error.message : String(error)
          return null
        })
      }
      const moved = next.databaseUrl !== running.databaseUrl
      running = next
      server = next
      if (moved) options.onMoved()
    }
  }

  return {
    async start(giveUp) {
      server = await startServer(giveUp)
      keeping = keep(server)
    },
    current() {
      if (server === null) throw new Error('PostgreSQL has not started')
      return server
    },
    async stop(withinMs) {
      stopping.abort()
      await server?.stop(withinMs)
      await keeping
      // It may have been starting again when the stop was asked for.
      await server?.stop(withinMs)
    },
  }
}
