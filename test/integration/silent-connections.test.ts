import type { QueueSettings } from '@sluice/shared/queue-backend'
import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi } from '../support/start-api.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { createTestRedis, testBackend } from '../support/test-redis.ts'

const LIMITS = { answerMs: 700, listenAskEveryMs: 200, listenAnswerMs: 300 }

test('every connection of the API to PostgreSQL goes silent: customers, workers and the gate go on over new ones', async () => {
  await using database = await createTestDatabase()
  await using proxy = await startTcpProxy(database.databaseUrl)
  await using api = await startTestApi(
    { database: { url: proxy.url, connectionsMax: 10, limits: LIMITS } },
    {
      database: {
        ...database,
        databaseUrl: proxy.url,
        drop: async () => {
          for (const connection of proxy.connections()) connection.cut()
        },
      },
    },
  )
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const before = (await api.call('POST', '/v1/videos', { prompt: 'before', num_frames: 5 })).body.id
  expect((await worker.fetchJob()).video).toBe(before)
  proxy.silenceOpen()
  const submitted = await eventually(
    () => api.call('POST', '/v1/videos', { prompt: 'after', num_frames: 5 }),
    ({ status }) => {
      expect([200, 503]).toContain(status)
      return status === 200
    },
  )
  await eventually(
    () => worker.heartbeatRaw([], { slots: 2 }),
    ({ status }) => status === 200,
  )
  const attempt = await worker.fetch()
  expect(attempt.job.video).toBe(submitted.body.id)
})

/** The queue of this run's backend as a part of the API or a worker sees it through the proxy. */
function throughProxy(queue: QueueSettings, proxyUrl: string): QueueSettings {
  return { ...queue, url: proxyUrl, answerMs: LIMITS.answerMs }
}

test('every queue connection of a worker goes silent while it waits: it takes the next job over new ones', async () => {
  await using api = await startTestApi()
  const { queue } = api.config
  await using proxy = await startTcpProxy(queue.backend === 'redis' ? queue.url : api.database.queueUrl)
  await using worker = new HandWorker({
    ...api,
    config: { ...api.config, queue: throughProxy(queue, proxy.url) },
    database: { ...api.database, queueUrl: proxy.url },
  })
  await worker.heartbeat()
  await api.call('POST', '/v1/videos', { prompt: 'before', num_frames: 5 })
  await worker.fetchJob()
  await worker.heartbeat([], { slots: 2 })
  const fetching = worker.fetchJob()
  await eventually(
    async () => proxy.connections().length,
    (open) => open > 1,
  )
  proxy.silenceOpen()
  const { id } = (await api.call('POST', '/v1/videos', { prompt: 'after', num_frames: 5 })).body
  expect((await fetching).video).toBe(id)
})

test('every queue connection of the API goes silent: it dispatches over new ones', async () => {
  await using database = await createTestDatabase()
  const target = testBackend() === 'redis' ? await createTestRedis() : database.databaseUrl
  await using proxy = await startTcpProxy(target)
  const queue: QueueSettings =
    testBackend() === 'redis'
      ? { backend: 'redis', url: target }
      : { backend: 'postgres', url: target, connectionsMax: 4 }
  await using api = await startTestApi(
    { queue: throughProxy(queue, proxy.url) },
    { database: { ...database, drop: async () => {} } },
  )
  await using worker = new HandWorker({ ...api, config: { ...api.config, queue } }, { slots: 2 })
  await worker.heartbeat()
  await api.call('POST', '/v1/videos', { prompt: 'before', num_frames: 5 })
  await worker.fetchJob()
  proxy.silenceOpen()
  const { id } = (await api.call('POST', '/v1/videos', { prompt: 'after', num_frames: 5 })).body
  expect((await worker.fetchJob()).video).toBe(id)
  expect((await api.call('GET', '/ready')).body.missing).not.toContainEqual(
    expect.objectContaining({ part: 'queue' }),
  )
})
