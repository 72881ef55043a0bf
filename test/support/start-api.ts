import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { openAccountWithKey } from '../../apps/api/src/accounts/open-account.ts'
import type { Bounds } from '../../apps/api/src/config/bounds.ts'
import { type Config, type HttpSettings, readConfig } from '../../apps/api/src/config/config.ts'
import type { Timings } from '../../apps/api/src/config/timings.ts'
import { type RunningApi, startApi } from '../../apps/api/src/start-api.ts'
import { freePort } from './free-port.ts'
import { createTestDatabase, type TestDatabase } from './test-database.ts'
import { createTestRedis, testBackend } from './test-redis.ts'

/** A JSON answer of the API. */
export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever the API answered, and fail on what is missing
  body: any
}

/** Settings of a test's API in place of the defaults and of `TEST_TIMINGS`. */
export type TestSettings = Partial<Omit<Config, 'http' | 'timings' | 'bounds'>> & {
  http?: Partial<HttpSettings>
  timings?: Partial<Timings>
  bounds?: Partial<Bounds>
}

/**
 * No lease expires, since workers driven by hand send no heartbeats; the reconciler looks often; and nothing
 * is added to the facts by itself, so that a test may change what the rows say.
 */
const TEST_TIMINGS: Partial<Timings> = {
  leaseMs: 600_000,
  reconcileEveryMs: 50,
  countEveryMs: 600_000,
  priceLookEveryMs: 600_000,
}

export interface TestApi extends AsyncDisposable {
  api: RunningApi
  /** The API's parts, for what its calls do not show. */
  context: RunningApi['context']
  config: Config
  database: TestDatabase
  url: string
  dataDir: string
  key: string
  adminKey: string
  workerToken: string
  /** Calls the API with JSON; the default key is the first account's. */
  call(
    method: string,
    path: string,
    body?: unknown,
    options?: { key?: string; headers?: Record<string, string> },
  ): Promise<Answer>
  /** Makes an account with a key. */
  account(trialMicros: bigint): Promise<{ accountId: string; key: string }>
  /** Starts another API, as in another process, on the same database, queue and store. */
  replica(settings?: TestSettings): Promise<RunningApi>
  stop(): Promise<void>
}

/**
 * Starts the real API in this process, on this run's queue backend and a disk store; on an empty database of
 * the run's PostgreSQL, or on the one given.
 */
export async function startTestApi(
  settings: TestSettings = {},
  parts: { database?: TestDatabase } = {},
): Promise<TestApi> {
  const database = parts.database ?? (await createTestDatabase())
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-test-api-'))
  const configFor = async (more: TestSettings): Promise<Config> => {
    const read = readConfig({
      PORT: String(await freePort()),
      SLUICE_DATABASE_URL: database.databaseUrl,
      SLUICE_DATA_DIR: dataDir,
      SLUICE_LOG: process.env.SLUICE_TEST_LOG ?? 'silent',
      SLUICE_DATABASE_CONNECTIONS: '10',
      ...redis,
    })
    return {
      ...read,
      ...settings,
      ...more,
      http: { ...read.http, ...settings.http, ...more.http },
      timings: { ...read.timings, ...TEST_TIMINGS, ...settings.timings, ...more.timings },
      bounds: { ...read.bounds, ...settings.bounds, ...more.bounds },
    }
  }
  const redis = testBackend() === 'redis' ? { REDIS_URL: await createTestRedis() } : {}
  const config = await configFor({})
  const log = pino({ level: config.logLevel })
  const api = await startApi(config, { log })
  const replicas: RunningApi[] = []
  const keys = JSON.parse(readFileSync(join(dataDir, 'keys.json'), 'utf8'))
  const stop = async () => {
    for (const running of [...replicas, api]) await running.stop()
    rmSync(dataDir, { recursive: true, force: true })
    await database.drop()
  }
  return {
    api,
    context: api.context,
    config,
    database,
    dataDir,
    url: api.url,
    key: keys.key,
    adminKey: keys.admin_key,
    workerToken: readFileSync(join(dataDir, 'worker-token'), 'utf8').trim(),
    call: (method, path, body, options = {}) =>
      callJson(api.url, options.key ?? keys.key, method, path, body, options.headers),
    account: async (trialMicros) => openAccountWithKey(api.context, { name: 'test', trialMicros }),
    replica: async (more = {}) => {
      const replica = await startApi(await configFor(more), { log })
      replicas.push(replica)
      return replica
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** One call with a JSON body and answer. */
export async function callJson(
  url: string,
  key: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
}
