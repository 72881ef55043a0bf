import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../apps/cli/src/embedded-postgres/start-embedded-postgres.ts'
import { requireProgram } from './debian-package.ts'
import { createPythonEnvironment, type PythonEnvironment } from './python-package.ts'

/** What a test may ask the run's set-up for; each is started or found at the first asking and shared by the whole run. */
export interface TestServers {
  /** The cluster's superuser URL and the URLs of the two roles every cluster has (database `sluice`). */
  postgres(): Promise<{ adminUrl: string; databaseUrl: string; queueUrl: string }>
  /** A database of the run's private redis-server that no other caller got, as a URL. */
  redis(): Promise<{ url: string }>
  /** The path of a Chromium. */
  chromium(): Promise<{ path: string }>
  /** The paths of the proxies of docs/proxy.md. */
  nginx(): Promise<{ path: string }>
  caddy(): Promise<{ path: string }>
  /** A python that has the newest `openai` and `standardwebhooks` packages. */
  pythonOpenai(): Promise<{ python: string }>
  stop(): Promise<void>
}

/** Every asker gets a database of its own; empty ones cost nothing. */
const REDIS_DATABASES = 10_000

export function createTestServers(): TestServers {
  let postgres: Promise<{ server: EmbeddedPostgres; dir: string }> | undefined
  let redis: Promise<{ child: ChildProcess; port: number; dir: string }> | undefined
  let chromium: Promise<string> | undefined
  let nginx: Promise<string> | undefined
  let caddy: Promise<string> | undefined
  let pythonOpenai: Promise<PythonEnvironment> | undefined
  let redisDatabase = 0
  const pids: { pid: number; signal: NodeJS.Signals }[] = []
  // Last resort when the run ends without its teardown: the servers are told, though nobody waits for them.
  const onExit = () => {
    for (const { pid, signal } of pids) {
      try {
        process.kill(pid, signal)
      } catch {}
    }
  }
  process.on('exit', onExit)
  return {
    async postgres() {
      postgres ??= startPostgres()
      const { server } = await postgres
      if (!pids.some(({ pid }) => pid === server.pid)) pids.push({ pid: server.pid, signal: 'SIGQUIT' })
      return { adminUrl: server.adminUrl, databaseUrl: server.databaseUrl, queueUrl: server.queueUrl }
    },
    async redis() {
      redis ??= startRedis()
      const { child, port } = await redis
      if (child.pid !== undefined && !pids.some(({ pid }) => pid === child.pid)) {
        pids.push({ pid: child.pid, signal: 'SIGKILL' })
      }
      if (redisDatabase === REDIS_DATABASES) {
        throw new Error(`more than ${REDIS_DATABASES} Redis databases asked for in one run`)
      }
      return { url: `redis://127.0.0.1:${port}/${redisDatabase++}` }
    },
    async chromium() {
      chromium ??= requireProgram(['chromium', 'chromium-browser', 'google-chrome'], 'chromium')
      return { path: await chromium }
    },
    async nginx() {
      nginx ??= requireProgram(['nginx'], 'nginx')
      return { path: await nginx }
    },
    async caddy() {
      caddy ??= requireProgram(['caddy'], 'caddy')
      return { path: await caddy }
    },
    async pythonOpenai() {
      pythonOpenai ??= createPythonEnvironment(['openai', 'standardwebhooks'])
      return { python: (await pythonOpenai).python }
    },
    async stop() {
      process.off('exit', onExit)
      await Promise.allSettled([
        postgres?.then(async ({ server, dir }) => {
          await server.stop(10_000)
          await rm(dir, { recursive: true, force: true })
        }),
        redis?.then(async ({ child, dir }) => {
          if (child.exitCode === null && child.signalCode === null) {
            child.kill('SIGTERM')
            await once(child, 'exit')
          }
          await rm(dir, { recursive: true, force: true })
        }),
        pythonOpenai?.then(({ dir }) => rm(dir, { recursive: true, force: true })),
      ])
    },
  }
}

async function startPostgres(): Promise<{ server: EmbeddedPostgres; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-postgres-'))
  const settings = {
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '400',
  }
  return { server: await startEmbeddedPostgres({ dir, settings }), dir }
}

async function startRedis(): Promise<{ child: ChildProcess; port: number; dir: string }> {
  const program = await requireProgram(['redis-server'], 'redis-server')
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-redis-'))
  const port = await freePort()
  // What BullMQ needs of a Redis it may rely on: nothing is ever evicted. Nothing is written to disk: the run owns the data.
  const settings = {
    bind: '127.0.0.1',
    port,
    dir,
    databases: REDIS_DATABASES,
    save: '',
    appendonly: 'no',
    'maxmemory-policy': 'noeviction',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '' },
  })
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) =>
      reject(new Error(`redis-server did not start (exit ${code}): ${said.join('')}`)),
    )
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        if (said.length < 100) said.push(text)
        if (text.includes('Ready to accept connections')) resolve()
      })
    }
  })
  return { child, port, dir }
}

/** A port of 127.0.0.1 that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1')
  return address.port
}
