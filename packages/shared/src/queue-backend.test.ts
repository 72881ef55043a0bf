import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../apps/cli/src/embedded-postgres/start-embedded-postgres.ts'
import { type PrivateRedis, startPrivateRedis } from '../../../test/support/start-redis.ts'
import {
  type AttemptConsumer,
  type ConsumerOptions,
  openAttemptConsumer,
  type TakenJob,
} from './attempt-consumer.ts'
import { type AttemptJob, jobId, queueName } from './attempt-contract.ts'
import { type AttemptProducer, openAttemptProducer } from './attempt-producer.ts'
import { newId } from './ids.ts'
import { migrateQueue, type QueueSettings } from './queue-backend.ts'

let postgres: EmbeddedPostgres
let redis: PrivateRedis
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-queue-'))
  const [startedPostgres, startedRedis] = await Promise.all([
    startEmbeddedPostgres({ dir, settings: { fsync: 'off' } }),
    startPrivateRedis(),
  ])
  postgres = startedPostgres
  redis = startedRedis
  await migrateQueue(postgres.databaseUrl)
  await grantWorker()
})

afterAll(async () => {
  await postgres?.stop()
  await redis?.close()
  await rm(dir, { recursive: true, force: true })
})

/** The rights of the role on a GPU host: what the queue needs, no DDL, nothing outside schema bullmq. */
async function grantWorker(): Promise<void> {
  await withClient(postgres.databaseUrl, async (client) => {
    await client.query(`
      GRANT USAGE ON SCHEMA bullmq TO sluice_worker;
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bullmq TO sluice_worker;
      GRANT USAGE ON ALL SEQUENCES IN SCHEMA bullmq TO sluice_worker;
      GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bullmq TO sluice_worker;
    `)
  })
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** The number of jobs BullMQ still knows in a pool's queue, in whatever state. */
async function jobsLeft(backend: QueueSettings['backend'], job: AttemptJob): Promise<number> {
  if (backend === 'postgres') {
    return await withClient(postgres.databaseUrl, async (client) => {
      const { rows } = await client.query('select count(*)::int as n from bullmq.job where queue = $1', [
        queueName(job.pool, undefined),
      ])
      return rows[0].n
    })
  }
  const client = new Redis(redis.url)
  try {
    return await client.exists(`bull:${queueName(job.pool, undefined)}:${jobId(job.video, job.fence)}`)
  } finally {
    client.disconnect()
  }
}

const settings: Record<QueueSettings['backend'], () => { api: QueueSettings; worker: QueueSettings }> = {
  postgres: () => ({
    api: { backend: 'postgres', url: postgres.databaseUrl, connectionsMax: 4 },
    worker: { backend: 'postgres', url: postgres.queueUrl, connectionsMax: 4 },
  }),
  redis: () => ({ api: { backend: 'redis', url: redis.url }, worker: { backend: 'redis', url: redis.url } }),
}

let pools = 0
function newJob(): AttemptJob {
  pools += 1
  return { video: newId('video'), fence: 1, pool: `pool-${pools}` }
}

/** Asks until a job is there; a null is only a timeout. */
async function take(consumer: AttemptConsumer): Promise<TakenJob> {
  for (;;) {
    const taken = await consumer.next()
    if (taken !== null) return taken
  }
}

test('the queue on postgres goes on when a newer program changes its tables under it', async () => {
  const { api, worker: workerSettings } = settings.postgres()
  const opened = openAttemptProducer(api)
  const job = newJob()
  const worker = openAttemptConsumer(workerSettings, job.pool, 'worker-1')
  try {
    await opened.add(job)
    await (await take(worker)).done()
    expect(await worker.nextThatWaits()).toBeNull()
    await withClient(postgres.databaseUrl, (client) =>
      client.query('alter table bullmq.job add column of_a_newer_program text'),
    )
    await opened.add({ ...job, fence: 2 })
    // At once: after a failure of a prepared statement it would be null first.
    expect((await worker.nextThatWaits())?.job.fence).toBe(2)
  } finally {
    await worker.close()
    await opened.close()
  }
})

describe.each(['postgres', 'redis'] as const)('the queue on %s', (backend) => {
  function producer(): AttemptProducer {
    const opened = openAttemptProducer(settings[backend]().api)
    onTestFinished(() => opened.close())
    return opened
  }
  function consumer(pool: string, options?: ConsumerOptions): AttemptConsumer {
    const opened = openAttemptConsumer(settings[backend]().worker, pool, 'worker-1', options)
    onTestFinished(() => opened.close())
    return opened
  }

  test('hands over several attempts in their order, each of them once, to the queue of each', async () => {
    const [job, other] = [newJob(), newJob()]
    const jobs = Array.from({ length: 5 }, (_, index) => ({
      ...job,
      video: newId('video'),
      fence: index + 1,
    }))
    const opened = producer()
    await opened.addAll([...jobs, other])
    await opened.addAll(jobs.slice(0, 2))
    const worker = consumer(job.pool)
    for (const expected of jobs) {
      const taken = await take(worker)
      expect(taken.job).toEqual(expected)
      await taken.done()
    }
    expect(await worker.nextThatWaits()).toBeNull()
    expect((await take(consumer(other.pool))).job).toEqual(other)
  })

  test('hands an attempt to a worker that sees the queue alone, and forgets it once done', async () => {
    const job = newJob()
    await producer().add(job)
    const taken = await take(consumer(job.pool))
    expect(taken.job).toEqual(job)
    await taken.done()
    expect(await jobsLeft(backend, job)).toBe(0)
  })

  test('wakes a waiting worker when an attempt arrives', async () => {
    const job = newJob()
    const waiting = consumer(job.pool, { waitMs: 30_000 })
    const api = producer()
    // The first call finds nothing and blocks; the job must end the wait long before its timeout.
    const next = take(waiting)
    await settled()
    const began = performance.now()
    await api.add({ ...job, pool: `${job.pool}-other` })
    await api.add(job)
    expect((await next).job).toEqual(job)
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  test('two adds of one attempt are one job', async () => {
    const job = newJob()
    const api = producer()
    await api.add(job)
    await api.add(job)
    const worker = consumer(job.pool, { waitMs: 200 })
    await (await take(worker)).done()
    expect(await worker.next()).toBeNull()
  })

  test('sweeps out the job of a worker that died, and never runs it again', async () => {
    const job = newJob()
    await producer().add(job)
    const quick = { lockMs: 300, sweepEveryMs: 200, waitMs: 200 }
    const dead = openAttemptConsumer(settings[backend]().worker, job.pool, 'dead', quick)
    await take(dead)
    await dead.close()
    expect(await jobsLeft(backend, job)).toBe(1)
    const next = consumer(job.pool, quick)
    // Checked after the poll, which would try again after a failed check.
    const fetched: (TakenJob | null)[] = []
    await expect
      .poll(
        async () => {
          fetched.push(await next.next())
          return await jobsLeft(backend, job)
        },
        { timeout: 20_000 },
      )
      .toBe(0)
    expect(fetched.filter((taken) => taken !== null)).toEqual([])
  })

  test('acknowledging a job whose lock was lost is no error', async () => {
    const job = newJob()
    await producer().add(job)
    const errors: Error[] = []
    const quick = {
      lockMs: 300,
      sweepEveryMs: 200,
      waitMs: 200,
      onError: (error: Error) => errors.push(error),
    }
    const worker = consumer(job.pool, quick)
    const taken = await take(worker)
    await expect.poll(() => worker.next().then(() => jobsLeft(backend, job)), { timeout: 20_000 }).toBe(0)
    errors.length = 0
    await taken.done()
    expect(errors).not.toEqual([])
  })

  test('close ends a blocked next promptly', async () => {
    const worker = openAttemptConsumer(settings[backend]().worker, newJob().pool, 'worker-1', {
      waitMs: 30_000,
    })
    const next = worker.next()
    await settled()
    const began = performance.now()
    await worker.close()
    expect(await next).toBeNull()
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  test('close loses no job: what a closing worker does not return waits for the next', async () => {
    const job = newJob()
    const api = producer()
    const first = openAttemptConsumer(settings[backend]().worker, job.pool, 'first', { waitMs: 30_000 })
    const next = first.next()
    await settled()
    const [taken] = await Promise.all([next, api.add(job), first.close()])
    const after = taken ?? (await take(consumer(job.pool)))
    expect(after.job).toEqual(job)
    if (taken !== null) await taken.done()
  })

  test('answers a ping', async () => {
    await producer().ping()
  })
})

/** Lets a call that was just begun reach the server: one round trip of a real connection. */
async function settled(): Promise<void> {
  await withClient(postgres.databaseUrl, (client) => client.query('select pg_sleep(0.3)'))
}

test('a producer whose Redis is down fails within two seconds, and works again once it is back', async () => {
  const own = await startPrivateRedis()
  onTestFinished(() => own.close())
  const api = openAttemptProducer({ backend: 'redis', url: own.url })
  onTestFinished(() => api.close())
  await api.add(newJob())
  await own.stop()
  for (const job of [newJob(), newJob()]) {
    const began = performance.now()
    await expect(api.add(job)).rejects.toThrow()
    expect(performance.now() - began).toBeLessThan(2_500)
  }
  await own.start()
  const job = newJob()
  await expect.poll(() => api.add(job).then(() => 'added', String), { timeout: 10_000 }).toBe('added')
})

test('a consumer waits for a Redis that is down and comes back by itself, and says each once', async () => {
  const own = await startPrivateRedis()
  onTestFinished(() => own.close())
  await own.stop()
  const said: string[] = []
  const job = newJob()
  const worker = openAttemptConsumer({ backend: 'redis', url: own.url }, job.pool, 'worker-1', {
    onReach: (trouble) => said.push(trouble === null ? 'reached' : trouble.message),
    watchEveryMs: 50,
  })
  onTestFinished(() => worker.close())
  const next = take(worker)
  await expect.poll(() => said, { timeout: 10_000 }).toEqual(['Redis is not connected'])
  await own.start()
  const api = openAttemptProducer({ backend: 'redis', url: own.url })
  onTestFinished(() => api.close())
  await api.add(job)
  expect((await next).job).toEqual(job)
  await expect.poll(() => said, { timeout: 10_000 }).toEqual(['Redis is not connected', 'reached'])
  await own.stop()
  await expect.poll(() => said.length, { timeout: 10_000 }).toBe(3)
  await own.start()
  await expect.poll(() => said.length, { timeout: 10_000 }).toBe(4)
  const later = { ...job, fence: 2 }
  await expect.poll(() => api.add(later).then(() => 'added', String), { timeout: 10_000 }).toBe('added')
  expect((await take(worker)).job).toEqual(later)
})

test('a consumer of a PostgreSQL that refuses it goes on trying, and closes promptly', async () => {
  const said: (Error | null)[] = []
  const worker = openAttemptConsumer(
    { backend: 'postgres', url: 'postgres://nobody:x@127.0.0.1:1/none', connectionsMax: 3 },
    'p',
    'worker-1',
    { onReach: (trouble) => said.push(trouble), watchEveryMs: 50 },
  )
  expect(await worker.next()).toBeNull()
  expect(await worker.next()).toBeNull()
  expect(said).toEqual([expect.any(Error)])
  const next = worker.next()
  const began = performance.now()
  await worker.close()
  expect(await next).toBeNull()
  expect(performance.now() - began).toBeLessThan(1_000)
})

test('a consumer survives its PostgreSQL connections being cut', async () => {
  const job = newJob()
  const { api, worker } = settings.postgres()
  const producer = openAttemptProducer(api)
  onTestFinished(() => producer.close())
  const consumer = openAttemptConsumer(worker, job.pool, 'worker-1', { waitMs: 1_000 })
  onTestFinished(() => consumer.close())
  const next = take(consumer)
  await settled()
  await withClient(postgres.adminUrl, (client) =>
    client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename in ('sluice', 'sluice_worker') and datname = 'sluice'`,
    ),
  )
  await expect.poll(() => producer.add(job).then(() => 'added', String), { timeout: 10_000 }).toBe('added')
  expect((await next).job).toEqual(job)
})

test("the worker's role reads nothing but the queue and may not change its tables", async () => {
  await withClient(postgres.queueUrl, async (client) => {
    await expect(client.query('create table bullmq.mine (a int)')).rejects.toThrow(/permission denied/)
    await expect(client.query('create table public.mine (a int)')).rejects.toThrow(
      /permission denied|does not exist/,
    )
  })
})
