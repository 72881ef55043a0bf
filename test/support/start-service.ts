import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ownUrl } from '@sluice/shared/own-address'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { processesOf } from './processes-of.ts'
import { type Answer, callJson } from './start-api.ts'
import { createTestRedis } from './test-redis.ts'

const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
const START_MS_MAX = 90_000

export interface ServiceOptions {
  queue: 'postgres' | 'redis'
  /** Further settings, as an operator would set them. */
  env?: Record<string, string>
}

export interface Service extends AsyncDisposable {
  /** Ends in /v1, as keys.json has it. */
  baseUrl: string
  /** The same without /v1. */
  origin: string
  key: string
  adminKey: string
  dataDir: string
  /** The Redis it was given, if any. */
  redisUrl: string | null
  /** The supervisor. */
  process: ChildProcess
  /** What it printed so far. */
  output(): string
  call(method: string, path: string, body?: unknown, key?: string): Promise<Answer>
  /** Ids of this service's live processes whose command line contains `commandPart`. */
  pids(commandPart: string): number[]
  /** Stops the service as Ctrl-C does and returns the exit code; the data dir stays. */
  interrupt(signal?: NodeJS.Signals): Promise<number | null>
  /** Starts again on the same data dir and port. */
  restart(): Promise<void>
  /** Stops and removes the data dir. */
  stop(): Promise<void>
}

/**
 * The whole service as `npm start` runs it: supervisor, PostgreSQL, API, worker, runner, each a process of
 * its own.
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-service-'))
  const port = await freePort()
  const redis: Record<string, string> =
    options.queue === 'redis' ? { REDIS_URL: await createTestRedis() } : {}
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '/',
    PORT: String(port),
    SLUICE_DATA_DIR: dataDir,
    // Passed on to the runner, so that `pids` can tell this service's runner from another's.
    SLUICE_ANIMATIC_OF: dataDir,
    ...redis,
    ...options.env,
  }
  const origin = ownUrl(options.env?.HOST ?? '127.0.0.1', port)
  let child: ChildProcess
  let output = ''
  const start = async () => {
    child = spawn(process.execPath, [MAIN, 'up'], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk
    })
    try {
      await untilReady(origin, child, () => output)
    } catch (error) {
      // Nobody has it yet who could stop it.
      await interrupt()
      throw error
    }
  }
  const interrupt = async (signal: NodeJS.Signals = 'SIGINT') => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill(signal)
      await exited
    }
    return child.exitCode
  }
  await start()
  const keys = JSON.parse(readFileSync(join(dataDir, 'keys.json'), 'utf8'))
  const stop = async () => {
    await interrupt()
    rmSync(dataDir, { recursive: true, force: true })
  }
  return {
    baseUrl: keys.base_url,
    origin,
    key: keys.key,
    adminKey: keys.admin_key,
    dataDir,
    interrupt,
    stop,
    get process() {
      return child
    },
    output: () => output,
    redisUrl: redis.REDIS_URL ?? null,
    call: (method, path, body, key = keys.key) => callJson(origin, key, method, path, body),
    pids: (commandPart) => processesOf(dataDir, commandPart),
    restart: start,
    [Symbol.asyncDispose]: stop,
  }
}

async function untilReady(origin: string, child: ChildProcess, output: () => string): Promise<void> {
  const ask = async () => {
    if (child.exitCode !== null) throw new Error(`the service exited with ${child.exitCode}:\n${output()}`)
    return fetch(`${origin}/ready`).then(
      (response) => response.status,
      () => 0,
    )
  }
  await eventually(ask, (status) => status === 200, START_MS_MAX)
}
