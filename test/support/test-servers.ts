import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../apps/cli/src/embedded-postgres/start-embedded-postgres.ts'
import { requireProgram } from './debian-package.ts'
import { freePort } from './free-port.ts'
import { installNodePackages } from './node-packages.ts'
import { createPythonEnvironment, type PythonEnvironment } from './python-package.ts'
import { spawnRedis } from './start-redis.ts'

/**
 * The servers and programs of a test run. Each is started or found when a test first asks for it, and shared
 * by the whole run.
 */
export interface TestServers {
  /** The cluster's superuser URL and the URLs of the two roles every cluster has (database `sluice`). */
  postgres(): Promise<{ adminUrl: string; databaseUrl: string; queueUrl: string }>
  /** The URL of a database of the run's redis-server; every call returns another database. */
  redis(): Promise<{ url: string }>
  /** The path of a Chromium. */
  chromium(): Promise<{ path: string }>
  /** The paths of the proxies of docs/proxy.md. */
  nginx(): Promise<{ path: string }>
  caddy(): Promise<{ path: string }>
  /** A python that has the newest `openai` and `standardwebhooks` packages. */
  pythonOpenai(): Promise<{ python: string }>
  /** A python that has openapi-python-client and schemathesis, and the folder of their programs. */
  pythonOpenApi(): Promise<{ python: string; bin: string }>
  /** A folder whose node_modules has openapi-typescript, openapi-fetch, openapi-ts and their TypeScript. */
  nodeOpenApi(): Promise<{ dir: string }>
  stop(): Promise<void>
}

/** Every caller gets a database of its own; empty ones cost nothing. */
const REDIS_DATABASES = 10_000

/** Pinned: what they generate and check changes from version to version. */
const PYTHON_OPENAPI = ['openapi-python-client==0.29.1', 'schemathesis==4.32.5']
const NODE_OPENAPI = [
  'openapi-typescript@7.13.0',
  'openapi-fetch@0.17.0',
  '@hey-api/openapi-ts@0.99.0',
  // They need the compiler's JavaScript, which TypeScript 7 has no longer.
  'typescript@5.9.3',
]

export function createTestServers(): TestServers {
  let postgres: Promise<{ server: EmbeddedPostgres; dir: string }> | undefined
  let redis: Promise<{ child: ChildProcess; port: number; dir: string }> | undefined
  let chromium: Promise<string> | undefined
  let nginx: Promise<string> | undefined
  let caddy: Promise<string> | undefined
  let pythonOpenai: Promise<PythonEnvironment> | undefined
  let pythonOpenApi: Promise<PythonEnvironment> | undefined
  let nodeOpenApi: Promise<{ dir: string }> | undefined
  let redisDatabase = 0
  const pids: { pid: number; signal: NodeJS.Signals }[] = []
  // When the run ends without its teardown, the servers are at least signalled, though nothing waits for
  // them.
  const onExit = () => {
    for (const { pid, signal } of pids) {
      try {
        process.kill(pid, signal)
      } catch {
        // It has ended already.
      }
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
    async pythonOpenApi() {
      pythonOpenApi ??= createPythonEnvironment(PYTHON_OPENAPI)
      const { python } = await pythonOpenApi
      return { python, bin: dirname(python) }
    },
    async nodeOpenApi() {
      nodeOpenApi ??= installNodePackages(NODE_OPENAPI)
      return nodeOpenApi
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
        ...[pythonOpenai, pythonOpenApi, nodeOpenApi].map((installed) =>
          installed?.then(({ dir }) => rm(dir, { recursive: true, force: true })),
        ),
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
  return { child: await spawnRedis(program, { port, dir, databases: REDIS_DATABASES }), port, dir }
}
