import pg from 'pg'
import { processesOf } from '../../support/processes-of.ts'
import type { Installation, ProcessKind } from '../machine/installation.ts'
import { killAll, signalProcess } from '../machine/signals.ts'
import type { SeededRandom } from '../seeded-random.ts'
import { type Fault, momentary } from './fault.ts'

const KINDS = ['api', 'worker', 'runner', 'postgres', 'redis', 's3', 'supervisor'] as const
const TWO_AT_ONCE = [
  ['api', 'worker'],
  ['api', 'postgres'],
  ['worker', 'postgres'],
  ['worker', 'runner'],
] as const

/** SIGKILL of one process, of two, of all; of a single backend of PostgreSQL; and backends ended politely. */
export const KILLS: readonly Fault[] = [
  ...KINDS.map(
    (kind): Fault => ({
      name: `kill ${kind}`,
      hits: 'one',
      fits: (installation) => installation.pids(kind).length > 0,
      inject: async (installation, random) => {
        const pid = drawPid(installation, kind, random)
        if (pid === null || !signalProcess(pid, 'SIGKILL')) return null
        return momentary(`${kind} ${pid}`)
      },
    }),
  ),
  ...TWO_AT_ONCE.map(
    (kinds): Fault => ({
      name: `kill ${kinds.join(' and ')} at once`,
      hits: 'several',
      fits: (installation) => kinds.every((kind) => installation.pids(kind).length > 0),
      inject: async (installation, random) => {
        const pids = kinds.map((kind) => drawPid(installation, kind, random)).filter((pid) => pid !== null)
        killAll(pids)
        return pids.length === kinds.length ? momentary(pids.join(', ')) : null
      },
    }),
  ),
  {
    name: 'power cut',
    hits: 'several',
    fits: () => true,
    inject: async (installation) => {
      await installation.powerCut()
      return momentary('every process')
    },
  },
  {
    name: 'kill a backend of postgres',
    hits: 'one',
    fits: (installation) => installation.pids('postgres').length > 0,
    inject: async (installation, random) => {
      const backends = await backendPids(installation)
      if (backends.length === 0) return null
      const pid = random.pick(backends)
      // PostgreSQL ends all others with it and recovers from its log.
      return signalProcess(pid, 'SIGKILL') ? momentary(`backend ${pid}`) : null
    },
  },
  {
    name: 'end every connection to postgres',
    hits: 'one',
    fits: (installation) => installation.pids('postgres').length > 0,
    inject: async (installation) => {
      const backends = await backendPids(installation)
      for (const pid of backends) signalProcess(pid, 'SIGTERM')
      return backends.length === 0 ? null : momentary(`${backends.length} backends`)
    },
  },
]

function drawPid(installation: Installation, kind: ProcessKind, random: SeededRandom): number | null {
  const pids = installation.pids(kind)
  return pids.length === 0 ? null : random.pick(pids)
}

/** Processes that serve a connection of the service. Empty while the database is away. */
async function backendPids(installation: Installation): Promise<number[]> {
  const client = new pg.Client({
    connectionString: installation.adminUrl(),
    connectionTimeoutMillis: 3_000,
    query_timeout: 3_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid() and datname = current_database()
        order by pid`,
    )
    return rows.map(({ pid }) => pid)
  } catch {
    return []
  } finally {
    await client.end().catch(() => {})
  }
}

/** Every process of a PostgreSQL, the postmaster first. */
export function postgresProcesses(installation: Installation): number[] {
  const [postmaster] = installation.pids('postgres')
  if (postmaster === undefined) return []
  return [...new Set([postmaster, ...processesOf(installation.options.dir, 'postgres')])]
}
