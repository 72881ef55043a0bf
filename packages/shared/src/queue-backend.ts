import {
  assertSchemaCompatibility,
  createPostgresBackend,
  createRedisBackend,
  type Job,
  type JobsOptions,
  LATEST_SCHEMA_VERSION,
  runMigrations,
  SchemaMigrationRequiredError,
  withBackend,
} from 'bullmq'
import { Redis } from 'ioredis'
import type pg from 'pg'
import type { AttemptJob } from './attempt-contract.ts'
import { BoundedClient, openPool, startupOptions } from './postgres-client.ts'
import { within } from './time-limit.ts'
import { TIME_LIMITS } from './time-limits.ts'

/**
 * The one place that knows BullMQ and its two backends. attempt-producer.ts and attempt-consumer.ts build on
 * it; they are what the API and the workers use.
 */

/**
 * Where attempts are delivered: Redis when it is configured, else PostgreSQL. `connectionsMax` is at least 3,
 * one of which listens for jobs.
 */
export type QueueSettings =
  | ({ backend: 'redis'; url: string } & QueueLimits)
  | ({ backend: 'postgres'; url: string; connectionsMax: number } & QueueLimits)

interface QueueLimits {
  /** For one answer. No setting changes it; tests do. Default TIME_LIMITS.queue.answerMs. */
  answerMs?: number
}

/** `installation` is what queues are named after, see `queueName`; undefined while no API has said it. */
export type OwnQueueSettings = QueueSettings & { installation?: string | undefined }

/** The queue could not be reached in time; the caller tries again later. */
export class QueueUnavailableError extends Error {
  override readonly name = 'QueueUnavailableError'
}

/** A producer fails fast; a consumer waits for its server to come back, and `jobWaitMs` for a job. */
export type QueueUser = { role: 'producer' } | { role: 'consumer'; jobWaitMs: number }

/** What is used of BullMQ's classes, which are typed by backend. */
export type QueuedJob = Pick<
  Job<AttemptJob>,
  'id' | 'data' | 'deferredFailure' | 'moveToCompleted' | 'moveToFailed' | 'moveToWait'
>
export interface AttemptQueue {
  add(name: string, data: AttemptJob, options: JobsOptions): Promise<unknown>
  addBulk(jobs: { name: string; data: AttemptJob; opts: JobsOptions }[]): Promise<unknown>
  waitUntilReady(): Promise<void>
  close(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
}
export interface AttemptWorker {
  getNextJob(token: string, options: { block: boolean }): Promise<QueuedJob | undefined>
  startStalledCheckTimer(): Promise<void>
  waitUntilReady(): Promise<void>
  close(force: boolean): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  getBackend(): { disconnectBlocking(wait?: boolean): Promise<void> }
}
export interface WorkerSettings {
  workerName: string
  /** How long a taken job may go without being acknowledged before it counts as stalled. */
  lockMs: number
  /** How often stalled jobs are looked for. */
  sweepEveryMs: number
  /** How long a fetch waits for a job. */
  waitMs: number
}

/** A connection BullMQ works over, owned here so that it outlives the queues and workers built on it. */
export interface QueueConnection {
  openQueue(name: string): AttemptQueue
  openWorker(name: string, settings: WorkerSettings): AttemptWorker
  /** Throws when the server does not answer. */
  ping(): Promise<void>
  close(): Promise<void>
}

const LIMITS = TIME_LIMITS.queue
const POSTGRES_SCHEMA = 'bullmq'
/** One connection for LISTEN, one for the fetch, one to acknowledge a job meanwhile. */
const CONNECTIONS_MIN = 3

/** An attempt's job is started once, and removed from the queue however it ends. */
export const JOB_OPTIONS = {
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: true,
} as const satisfies JobsOptions

/** BullMQ never restarts a job by itself: no stalls are forgiven, and a stalled job is failed and removed. */
function workerOptions(settings: WorkerSettings) {
  return {
    name: settings.workerName,
    autorun: false,
    maxStalledCount: 0,
    lockDuration: settings.lockMs,
    stalledInterval: settings.sweepEveryMs,
    drainDelay: settings.waitMs / 1_000,
  }
}

/** Opens the connection to the configured backend. `onError` gets what goes wrong on it in the background. */
export function connectQueue(
  settings: QueueSettings,
  user: QueueUser,
  onError: (error: Error) => void,
): QueueConnection {
  return settings.backend === 'redis'
    ? connectRedis(settings, user, onError)
    : connectPostgres(settings, user, onError)
}

function connectRedis(
  settings: QueueSettings,
  user: QueueUser,
  onError: (error: Error) => void,
): QueueConnection {
  const { answerMs = LIMITS.answerMs } = settings
  const client = new Redis(settings.url, {
    retryStrategy: (times) => Math.min(times * 100, 1_000),
    connectTimeout: answerMs,
    // A connection on which an answer is due and nothing comes is made anew, whatever TCP thinks of it.
    ...(user.role === 'producer'
      ? {
          maxRetriesPerRequest: 1,
          enableOfflineQueue: false,
          commandTimeout: answerMs,
          socketTimeout: answerMs,
        }
      : { maxRetriesPerRequest: null, socketTimeout: answerMs + user.jobWaitMs }),
  })
  client.on('error', onError)
  const classes = withBackend(createRedisBackend)
  return {
    openQueue: (name) => new classes.Queue<AttemptJob>(name, { connection: client }),
    openWorker: (name, worker) =>
      new classes.Worker<AttemptJob>(name, null, { connection: client, ...workerOptions(worker) }),
    async ping() {
      await redisReady(client)
      await client.ping()
    },
    async close() {
      client.disconnect()
    },
  }
}

async function redisReady(client: Redis): Promise<void> {
  if (client.status === 'ready') return
  let onReady: () => void = () => {}
  const ready = new Promise<void>((resolve) => {
    onReady = resolve
  })
  client.once('ready', onReady)
  try {
    await within(LIMITS.connectMs, ready, () => new QueueUnavailableError('Redis is not connected'))
  } finally {
    client.off('ready', onReady)
  }
}

function connectPostgres(
  settings: { url: string; connectionsMax: number } & QueueLimits,
  user: QueueUser,
  onError: (error: Error) => void,
): QueueConnection {
  const answerMs = settings.answerMs ?? LIMITS.answerMs
  const pool = openPool({
    connectionString: settings.url,
    max: Math.max(settings.connectionsMax, CONNECTIONS_MIN),
    // A lost job costs nothing, since the reconciler delivers again what nobody took: so no commit waits for
    // the disk.
    options: startupOptions({
      search_path: POSTGRES_SCHEMA,
      synchronous_commit: 'off',
      statement_timeout: answerMs,
      lock_timeout: answerMs,
      idle_in_transaction_session_timeout: answerMs,
    }),
    connectionTimeoutMillis: LIMITS.connectMs,
    answerMs,
    application_name: `sluice-queue-${user.role}`,
  })
  pool.on('error', onError)
  nameStatements(pool)
  // BullMQ adds a listener of its own for each queue, and there is one queue for each pool of workers.
  pool.setMaxListeners(0)
  const classes = withBackend(createPostgresBackend)
  return {
    openQueue: (name) => new classes.Queue<AttemptJob>(name, { connection: pool }),
    openWorker: (name, worker) =>
      new classes.Worker<AttemptJob>(name, null, { connection: pool, ...workerOptions(worker) }),
    async ping() {
      await pool.query('select max(version) from migration')
    },
    async close() {
      await pool.end()
    },
  }
}

/**
 * BullMQ sends its statements without a name, so that each is parsed and planned anew each time, which costs
 * as much as running it. Named, that is done once for each connection. There are some dozens of texts, all of
 * them BullMQ's own.
 */
function nameStatements(pool: pg.Pool): void {
  const names = new Map<string, string>()
  const nameOf = (text: string): string => {
    const name = names.get(text) ?? `bullmq-${names.size}`
    names.set(text, name)
    return name
  }
  const query = pool.query.bind(pool) as (...given: unknown[]) => unknown
  const named = (...given: unknown[]): unknown => {
    const [text, values] = given
    if (typeof text !== 'string' || !Array.isArray(values)) return query(...given)
    return query({ name: nameOf(text), text, values })
  }
  pool.query = named as typeof pool.query
}

/**
 * Brings BullMQ's tables in schema `bullmq` up to date, on a connection of its own. Serialised by BullMQ's
 * advisory lock, and safe to repeat. The role of `postgresUrl` must be allowed to create the schema.
 */
export async function migrateQueue(postgresUrl: string): Promise<void> {
  const { migrateMs } = TIME_LIMITS.database
  const client = new BoundedClient({
    connectionString: postgresUrl,
    options: startupOptions({ statement_timeout: migrateMs, lock_timeout: migrateMs }),
    answerMs: migrateMs,
  })
  await client.connect()
  try {
    if (await isBehind(client)) await runMigrations(client, POSTGRES_SCHEMA)
  } finally {
    await client.end()
  }
}

/**
 * Migrating takes an advisory lock, which the role of GPU hosts could hold: it is not asked for in vain.
 */
async function isBehind(client: pg.Client): Promise<boolean> {
  try {
    return (await assertSchemaCompatibility(client, POSTGRES_SCHEMA)) < LATEST_SCHEMA_VERSION
  } catch (error) {
    if (error instanceof SchemaMigrationRequiredError) return true
    throw error
  }
}
