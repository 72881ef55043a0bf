import { createWriteStream } from 'node:fs'
import { pause } from '@sluice/shared/pause'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../apps/cli/src/embedded-postgres/start-embedded-postgres.ts'

const RESTART_MS = 300

export interface KeptPostgres {
  port: number
  databaseUrl: string
  queueUrl: string
  /** The postmaster, or null while there is none. */
  pid(): number | null
  stop(): Promise<void>
}

/** PostgreSQL with fsync, started again on the same port whenever it ends. */
export async function keepPostgres(dir: string, logFile: string): Promise<KeptPostgres> {
  const log = createWriteStream(logFile, { flags: 'a' })
  const start = () => startEmbeddedPostgres({ dir, onLog: (line) => log.write(`${line}\n`) })
  const stopping = new AbortController()
  const first = await start()
  let server: EmbeddedPostgres | null = first
  const run = async () => {
    while (!stopping.signal.aborted) {
      await server?.exited
      server = null
      await pause(RESTART_MS, stopping.signal)
      if (stopping.signal.aborted) return
      server = await start().catch((error: Error) => {
        log.write(`${error.message}\n`)
        return null
      })
    }
  }
  const running = run()
  return {
    port: first.port,
    databaseUrl: first.databaseUrl,
    queueUrl: first.queueUrl,
    pid: () => server?.pid ?? null,
    stop: async () => {
      stopping.abort()
      await server?.stop(10_000)
      await running
      log.end()
    },
  }
}
