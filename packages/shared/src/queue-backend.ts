import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import {
  createPostgresBackend,
  createRedisBackend,
  type Job,
  type JobsOptions,
  runMigrations,
  withBackend,
} from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'
import { type AttemptJob, attemptJobSchema, jobId, queueName } from './attempt-contract.ts'

/** Where attempts are delivered: Redis when it is configured, else PostgreSQL. `connectionsMax` >= 3, one of which listens for jobs. */
export type QueueSettings =
  | { backend: 'redis'; url: string }
  | { backend: 'postgres'; url: string; connectionsMax: number }

/** Puts attempts into the queue of their pool. */
export interface AttemptProducer {
  /** Delivers the attempt. Adding the same (video, fence) twice while the first waits is one job. Throws within about 2 s when the queue is away. */
  add(job: AttemptJob): Promise<void>
  /** Throws when the queue does not answer within about 2 s. */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface TakenJob {
  job: AttemptJob
  /** Removes the job from the queue. A lock that was lost meanwhile, or a queue that is away, is no error: a second delivery is a zombie. */
  done(): Promise<void>
}

/** Takes attempts off one pool's queue, one call of `next` at a time. */
export interface AttemptConsumer {
  /** Blocks until a job is there; null after some seconds without one, when the queue is away, and once closed. Never throws. */
  next(): Promise<TakenJob | null>
  /** Ends a blocked `next` and closes the connections. A job fetched in that moment goes back to the queue. */
  close(): Promise<void>
}

export interface ConsumerOptions {
  onError?: (error: Error) => void
  /** How long a taken job may go without `done` before it counts as stalled, and how often stalled jobs are swept out. */
  lockMs?: number
  sweepEveryMs?: number
  /** How long `next` blocks. */
  waitMs?: number
}

/** The queue could not be reached in time; the caller tries again later. */
export class QueueUnavailableError extends Error {
  override name = 'QueueUnavailableError'
}

const POSTGRES_SCHEMA = 'bullmq'
/** One connection for LISTEN, one for the fetch, one for acknowledging meanwhile. */
const CONNECTIONS_MIN = 3
const CONNECT_WAIT_MS = 1_500
const COMMAND_MS_MAX = 2_000
const LOCK_MS = 60_000
const SWEEP_EVERY_MS = 30_000
const WAIT_MS = 5_000
const RETRY_MS = 1_000
/** How long close waits for a fetch in flight, so that a job it brings can be handed back. */
const CLOSE_WAIT_MS = 1_000

/** What is used of BullMQ's classes, which are typed by backend. */
type QueuedJob = Pick<
  Job<AttemptJob>,
  'id' | 'data' | 'deferredFailure' | 'moveToCompleted' | 'moveToFailed' | 'moveToWait'
>
interface AttemptQueue {
  add(name: string, data: AttemptJob, options: JobsOptions): Promise<unknown>
  waitUntilReady(): Promise<void>
  close(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
}
interface AttemptWorker {
  getNextJob(token: string, options: { block: boolean }): Promise<QueuedJob | undefined>
  startStalledCheckTimer(): Promise<void>
  waitUntilReady(): Promise<void>
  close(force: boolean): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  getBackend(): { disconnectBlocking(wait?: boolean): Promise<void> }
}
interface WorkerSettings {
  workerName: string
  lockMs: number
  sweepEveryMs: number
  waitMs: number
}

/** A connection BullMQ works over, owned here so that it outlives the queues and workers built on it. */
interface QueueConnection {
  openQueue(name: string): AttemptQueue
  openWorker(name: string, settings: WorkerSettings): AttemptWorker
  /** Throws when the server does not answer. */
  ping(): Promise<void>
  close(): Promise<void>
}

/** The one place that knows the two backends. A producer fails fast; a consumer waits for its server to come back. */
function connectQueue(
  settings: QueueSettings,
  role: 'producer' | 'consumer',
  onError: (error: Error) => void,
): QueueConnection {
  return settings.backend === 'redis'
    ? connectRedis(settings.url, role, onError)
    : connectPostgres(settings, role, onError)
}

function connectRedis(
  url: string,
  role: 'producer' | 'consumer',
  onError: (error: Error) => void,
): QueueConnection {
  const retryStrategy = (times: number) => Math.min(times * 100, 1_000)
  const client = new Redis(
    url,
    role === 'producer'
      ? {
          retryStrategy,
          maxRetriesPerRequest: 1,
          enableOfflineQueue: false,
          commandTimeout: COMMAND_MS_MAX,
          connectTimeout: COMMAND_MS_MAX,
        }
      : { retryStrategy, maxRetriesPerRequest: null },
  )
  client.on('error', onError)
  const classes = withBackend(createRedisBackend)
  return {
    openQueue: (name) => new classes.Queue<AttemptJob>(name, { connection: client }),
    openWorker: (name, worker) =>
      new classes.Worker<AttemptJob>(name, null, { connection: client, ...workerOptions(worker) }),
    async ping() {
      await within(
        CONNECT_WAIT_MS,
        redisReady(client),
        () => new QueueUnavailableError('Redis is not connected'),
      )
      await client.ping()
    },
    async close() {
      client.disconnect()
    },
  }
}

function redisReady(client: Redis): Promise<void> {
  if (client.status === 'ready') return Promise.resolve()
  return new Promise((resolve) => client.once('ready', () => resolve()))
}

function connectPostgres(
  settings: { url: string; connectionsMax: number },
  role: 'producer' | 'consumer',
  onError: (error: Error) => void,
): QueueConnection {
  const pool = new pg.Pool({
    connectionString: settings.url,
    max: Math.max(settings.connectionsMax, CONNECTIONS_MIN),
    // Nothing is lost with a job: the reconciler delivers again what nobody took. So nobody waits for the disk.
    options: `-c search_path=${POSTGRES_SCHEMA} -c synchronous_commit=off`,
    keepAlive: true,
    connectionTimeoutMillis: role === 'producer' ? CONNECT_WAIT_MS : 10_000,
    query_timeout: role === 'producer' ? COMMAND_MS_MAX : 30_000,
    application_name: `sluice-queue-${role}`,
  })
  pool.on('error', onError)
  // BullMQ adds a listener of its own for each queue, and there is one for each pool of workers.
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

/** A producer for all pools: one queue per pool, opened at its first job. */
export function openAttemptProducer(
  settings: QueueSettings,
  onError: (error: Error) => void = () => {},
): AttemptProducer {
  const connection = connectQueue(settings, 'producer', onError)
  const queues = new Map<string, AttemptQueue>()

  async function readyQueue(pool: string): Promise<AttemptQueue> {
    const open = queues.get(pool)
    if (open !== undefined) return open
    // BullMQ remembers a failed first contact for ever, so a queue is built only on a server that answers, and kept only when ready.
    await connection.ping()
    const queue = connection.openQueue(queueName(pool))
    queue.on('error', onError)
    try {
      await within(
        COMMAND_MS_MAX,
        queue.waitUntilReady(),
        () => new QueueUnavailableError(`queue ${queueName(pool)} did not get ready`),
      )
    } catch (error) {
      await queue.close().catch(() => {})
      throw error
    }
    const raced = queues.get(pool)
    if (raced !== undefined) {
      await queue.close()
      return raced
    }
    queues.set(pool, queue)
    return queue
  }

  return {
    async add(job) {
      const parsed = attemptJobSchema.parse(job)
      const queue = await readyQueue(parsed.pool)
      const added = queue.add('attempt', parsed, {
        jobId: jobId(parsed.video, parsed.fence),
        attempts: 1,
        removeOnComplete: true,
        removeOnFail: true,
      })
      await within(
        COMMAND_MS_MAX,
        added,
        () => new QueueUnavailableError(`queue ${queueName(parsed.pool)} did not answer`),
      )
    },
    ping: () => connection.ping(),
    async close() {
      await Promise.allSettled([...queues.values()].map((queue) => queue.close()))
      await connection.close()
    },
  }
}

/** A consumer of one pool's queue. `workerName` shows in the server's list of clients. */
export function openAttemptConsumer(
  settings: QueueSettings,
  pool: string,
  workerName: string,
  options: ConsumerOptions = {},
): AttemptConsumer {
  const onError = options.onError ?? (() => {})
  const connection = connectQueue(settings, 'consumer', onError)
  const closing = new AbortController()
  let worker: AttemptWorker | undefined
  let inFlight: Promise<TakenJob | null> = Promise.resolve(null)

  async function readyWorker(): Promise<AttemptWorker> {
    if (worker !== undefined) return worker
    const opened = connection.openWorker(queueName(pool), {
      workerName,
      lockMs: options.lockMs ?? LOCK_MS,
      sweepEveryMs: options.sweepEveryMs ?? SWEEP_EVERY_MS,
      waitMs: options.waitMs ?? WAIT_MS,
    })
    opened.on('error', onError)
    try {
      await untilAborted(opened.waitUntilReady(), closing.signal)
    } catch (error) {
      opened.close(true).catch(onError)
      throw error
    }
    await opened.startStalledCheckTimer()
    worker = opened
    return opened
  }

  async function fetchJob(): Promise<TakenJob | null> {
    const ready = await readyWorker()
    const token = randomUUID()
    // The first call of a drained worker does not block; the second does.
    let job: QueuedJob | undefined
    for (let call = 0; call < 2 && job === undefined && !closing.signal.aborted; call += 1)
      job = await ready.getNextJob(token, { block: true })
    if (job === undefined) return null
    if (job.deferredFailure !== undefined) {
      // How BullMQ hands out a stalled job that may not be run again: its next taker has to fail it, which removes it.
      onError(new Error(`queue job ${job.id} was taken by a worker that died: ${job.deferredFailure}`))
      await job.moveToFailed(new Error(job.deferredFailure), token, false)
      return null
    }
    if (closing.signal.aborted) {
      await job.moveToWait(token)
      return null
    }
    return takenJob(job, token, onError)
  }

  return {
    async next() {
      if (closing.signal.aborted) return null
      inFlight = fetchJob().catch(async (error: unknown) => {
        if (!closing.signal.aborted) {
          onError(asError(error))
          await delay(RETRY_MS, undefined, { signal: closing.signal }).catch(() => {})
        }
        return null
      })
      return await inFlight
    },
    async close() {
      if (closing.signal.aborted) return
      closing.abort()
      // Wakes a blocked fetch; not awaited, since with a server that is away it waits for the connection.
      worker?.getBackend().disconnectBlocking(false).catch(onError)
      await Promise.race([inFlight, delay(CLOSE_WAIT_MS)])
      await Promise.race([worker?.close(true), delay(CLOSE_WAIT_MS)])
      await Promise.race([connection.close(), delay(CLOSE_WAIT_MS)])
    },
  }
}

async function takenJob(
  job: QueuedJob,
  token: string,
  onError: (error: Error) => void,
): Promise<TakenJob | null> {
  const done = async () => {
    try {
      await job.moveToCompleted(null, token, false)
    } catch (error) {
      onError(asError(error))
    }
  }
  const parsed = attemptJobSchema.safeParse(job.data)
  if (!parsed.success) {
    onError(new Error(`queue job ${job.id} is not an attempt: ${parsed.error.message}`))
    await done()
    return null
  }
  return { job: parsed.data, done }
}

/**
 * Brings BullMQ's tables in schema `bullmq` up to date, on a connection of its own. Serialised by BullMQ's advisory lock, and safe to repeat.
 * The role of `postgresUrl` must be allowed to create the schema.
 */
export async function migrateQueue(postgresUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl })
  client.on('error', () => {})
  await client.connect()
  try {
    await runMigrations(client, POSTGRES_SCHEMA)
  } finally {
    await client.end()
  }
}

async function within<T>(limitMs: number, work: Promise<T>, tooLate: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate()), limitMs)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new QueueUnavailableError('closed before the queue was reached'))
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
