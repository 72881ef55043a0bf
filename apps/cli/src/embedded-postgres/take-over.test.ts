import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { eventually } from '../../../../test/support/eventually.ts'
import { isAlive, isInProcessTable, processesIn } from '../processes/process-identity.ts'
import { sendSignal } from '../processes/stop-process.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './start-embedded-postgres.ts'

const isLinux = process.platform === 'linux'
let dir: string
let cluster: string
let pidFile: string
const starters: ChildProcess[] = []
let server: EmbeddedPostgres | null = null

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-takeover-'))
  cluster = join(dir, 'cluster')
  pidFile = join(cluster, 'postmaster.pid')
  // One cluster for all orders: each finds what the last left.
  await (await startEmbeddedPostgres({ dir, settings: { fsync: 'off' } })).stop()
})
afterEach(async () => {
  await server?.stop()
  server = null
  for (const starter of starters.splice(0)) {
    sendSignal(Number(starter.pid), 'SIGKILL')
    if (starter.exitCode === null && starter.signalCode === null) await once(starter, 'exit')
  }
})
afterAll(() => rm(dir, { recursive: true, force: true }))

interface Left {
  /** The process that started it, as a supervisor would. */
  starter: number
  postmaster: number
  /** Processes of the server beside the postmaster. */
  backends: number[]
  /** For a client of its own. */
  url: string
}

/** Starts PostgreSQL in another process. */
async function startElsewhere(): Promise<Left> {
  const module = JSON.stringify(new URL('./start-embedded-postgres.ts', import.meta.url).href)
  const script = `
    const { startEmbeddedPostgres } = await import(${module})
    const server = await startEmbeddedPostgres({ dir: process.argv[1], settings: { fsync: 'off' } })
    process.stdout.write(server.adminUrl)`
  const starter = spawn(process.execPath, ['--input-type=module', '-e', script, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  starters.push(starter)
  const url = String((await once(starter.stdout, 'data'))[0])
  const postmaster = Number((await readFile(pidFile, 'utf8')).split('\n')[0])
  const backends = processesIn(cluster, ['postgres']).filter((pid) => pid !== postmaster)
  return { starter: Number(starter.pid), postmaster, backends, url }
}

const kill = (...pids: number[]) => pids.forEach((pid) => void sendSignal(pid, 'SIGKILL'))
const freeze = (...pids: number[]) => pids.forEach((pid) => void sendSignal(pid, 'SIGSTOP'))

it.each([
  ['the supervisor was killed', ({ starter }: Left) => kill(starter)],
  [
    'the supervisor was killed and the postmaster is frozen',
    ({ starter, postmaster }: Left) => {
      freeze(postmaster)
      kill(starter)
    },
  ],
  [
    'the postmaster was killed while its supervisor is frozen, which does not reap it',
    async ({ starter, postmaster }: Left) => {
      freeze(starter)
      kill(postmaster)
      await eventually(
        async () => isAlive(postmaster),
        (is) => !is,
      )
      if (isLinux) expect(isInProcessTable(postmaster)).toBe(true)
    },
  ],
  [
    'supervisor and postmaster were killed and the backends are frozen, with the shared memory',
    ({ starter, postmaster, backends }: Left) => {
      if (isLinux) expect(backends.length).toBeGreaterThan(0)
      freeze(...backends)
      kill(starter, postmaster)
    },
  ],
  [
    'everything was killed at once',
    ({ starter, postmaster, backends }: Left) => kill(...backends, postmaster, starter),
  ],
  [
    'the postmaster waits for its last client before it ends',
    async ({ starter, postmaster, url }: Left) => {
      const client = new pg.Client({ connectionString: url })
      client.on('error', () => {})
      await client.connect()
      sendSignal(postmaster, 'SIGTERM')
      kill(starter)
    },
  ],
  [
    'the postmaster was killed while it wrote its pid file',
    async ({ starter, postmaster }: Left) => {
      kill(starter, postmaster)
      await writeFile(pidFile, '')
    },
  ],
])('a new start takes over when %s', async (_order, leave) => {
  const left = await startElsewhere()
  await leave(left)
  server = await startEmbeddedPostgres({ dir, settings: { fsync: 'off' } })
  const client = new pg.Client({ connectionString: server.databaseUrl })
  await client.connect()
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  await client.end()
  for (const pid of [left.postmaster, ...left.backends]) expect(isAlive(pid)).toBe(false)
})

it('a stop leaves no process behind, whatever of it is frozen', async () => {
  const { backends } = await startElsewhere().then(async (left) => {
    kill(left.starter)
    server = await startEmbeddedPostgres({ dir, settings: { fsync: 'off' } })
    return { backends: processesIn(cluster, ['postgres']) }
  })
  freeze(...backends)
  await server?.stop(100)
  expect(processesIn(cluster, ['postgres'])).toEqual([])
})

it('a new start of a running service never makes an empty database in place of one that is gone', async () => {
  const gone = join(dir, 'not-mounted')
  await expect(startEmbeddedPostgres({ dir: gone, cluster: 'existing' })).rejects.toThrow(
    /is its disk mounted/,
  )
  await expect(readFile(join(gone, 'passwords.json'))).rejects.toThrow('ENOENT')
})
