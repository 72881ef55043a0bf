import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../apps/cli/src/embedded-postgres/start-embedded-postgres.ts'
import { cpuSecondsOfFamily } from './process-times.ts'

export interface BenchPostgres {
  server: EmbeddedPostgres
  /** The folder for all files of the run; removed at the end. */
  dir: string
  /** CPU seconds that the server has used since its start, all of its processes together; NaN off Linux. */
  cpuSeconds(): Promise<number>
  /** Prints the CPU seconds that the server has used. */
  stop(): Promise<void>
}

/**
 * Starts a PostgreSQL for this run, durable as in production (fsync on), in a new folder. `onLog` gets the
 * lines of its log.
 */
export async function startBenchPostgres(
  options: { onLog?: (line: string) => void; settings?: Readonly<Record<string, string>> } = {},
): Promise<BenchPostgres> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
  const server = await startEmbeddedPostgres({
    dir: join(dir, 'postgres'),
    ...options,
    settings: { max_wal_size: '4GB', ...options.settings },
  })
  // A run that is interrupted leaves no server behind.
  const quit = () => process.kill(server.pid, 'SIGQUIT')
  process.on('exit', quit)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  return {
    server,
    dir,
    cpuSeconds: () => cpuSecondsOfFamily(server.pid),
    stop: async () => {
      process.off('exit', quit)
      const seconds = await cpuSecondsOfFamily(server.pid)
      process.stdout.write(`  PostgreSQL: ${seconds.toFixed(1)} s of CPU\n`)
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
