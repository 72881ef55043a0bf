import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type EventReader, openEvents } from '../support/event-stream.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

const WATCH_MS = 50
let api: TestApi

beforeAll(async () => {
  api = await startTestApi({ timings: { watchEveryMs: WATCH_MS, keepAliveEveryMs: 200 } })
})
afterAll(() => api.stop())

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const submit = async (): Promise<string> => (await api.call('POST', '/v1/videos', SMALL)).body.id
const progress = (attempt: HandAttempt, step: number) =>
  attempt.report({ type: 'progress', phase: 'denoise', step, remaining_ms: 500 })
const lastStep = (step: number) => (reader: EventReader) => reader.events.at(-1)?.data.steps_done === step

test('a stream tells the present state at once, each change, and the end, then closes; its data is the video object', async () => {
  await using worker = new HandWorker(api)
  const id = await submit()
  await using reader = await openEvents(api.url, api.key, id)
  expect(reader.response.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no',
  })
  await reader.until(({ events }) => events.length === 1)
  expect(reader.events[0]).toMatchObject({
    name: 'video.queued',
    data: { id, object: 'video', status: 'queued', queue_position: 1 },
  })
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await reader.until(({ events }) => events.at(-1)?.name === 'video.in_progress')
  for (const step of [2, 5]) {
    await progress(attempt, step)
    await reader.until(lastStep(step))
    expect(reader.events.at(-1)).toMatchObject({
      name: 'video.progress',
      data: { status: 'in_progress', progress: step * 10 },
    })
  }
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await reader.until(({ isClosed }) => isClosed)
  expect(reader.events.at(-1)).toMatchObject({
    name: 'video.completed',
    data: { status: 'completed', progress: 100 },
  })
  expect(reader.events.at(-1)?.data).toEqual((await api.call('GET', `/v1/videos/${id}`)).body)
  expect(reader.names().filter((name) => name === 'video.completed')).toHaveLength(1)
  for (const [index, event] of reader.events.entries())
    expect(event.id).not.toBe(reader.events[index - 1]?.id)
  await worker.heartbeat([], { draining: true })
})

test('a stream goes on after Last-Event-ID: nothing is sent twice, and after the last event there is nothing', async () => {
  await using worker = new HandWorker(api, { pool: 'resumed' })
  await worker.heartbeat()
  const id = await submit()
  const attempt = await worker.fetch()
  await progress(attempt, 3)
  const first = await openEvents(api.url, api.key, id)
  // The time left becoming known is news of its own.
  await first.until((reader) => lastStep(3)(reader) && reader.events.at(-1)?.data.eta_seconds !== null)
  const seen = first.events.at(-1)?.id
  await first[Symbol.asyncDispose]()
  await using same = await openEvents(api.url, api.key, id, seen)
  await same.until(({ comments }) => comments > 1)
  expect(same.events).toEqual([])
  await progress(attempt, 4)
  await same.until(lastStep(4))
  expect(new Set(same.names())).toEqual(new Set(['video.progress']))
  expect(same.events.map((event) => event.data.steps_done)).not.toContain(3)
  await using behind = await openEvents(api.url, api.key, id, seen)
  await behind.until(lastStep(4))
  expect(new Set(behind.names())).toEqual(new Set(['video.progress']))
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await Promise.all([same.until(({ isClosed }) => isClosed), behind.until(({ isClosed }) => isClosed)])
  expect(same.names().at(-1)).toBe('video.completed')
  // One that came back late gets the end; one that has it gets a 204, which keeps it from coming back.
  await using late = await openEvents(api.url, api.key, id, seen)
  await late.until(({ isClosed }) => isClosed)
  expect(late.names()).toEqual(['video.completed'])
  await using known = await openEvents(api.url, api.key, id, late.events[0]?.id)
  expect(known.response.statusCode).toBe(204)
  await worker.heartbeat([], { draining: true })
})

test('a failed and a cancelled video end their streams with video.failed', async () => {
  await using worker = new HandWorker(api, { pool: 'failing' })
  const cancelled = await submit()
  await using cancelling = await openEvents(api.url, api.key, cancelled)
  await cancelling.until(({ events }) => events.length === 1)
  await api.call('DELETE', `/v1/videos/${cancelled}`)
  await cancelling.until(({ isClosed }) => isClosed)
  expect(cancelling.events.at(-1)).toMatchObject({
    name: 'video.failed',
    data: { status: 'failed', error: { code: 'cancelled' } },
  })
  await worker.heartbeat()
  const failed = await submit()
  const attempt = await worker.fetch()
  await using failing = await openEvents(api.url, api.key, failed)
  await attempt.report({ type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 0 })
  await failing.until(({ isClosed }) => isClosed)
  expect(failing.events.at(-1)).toMatchObject({
    name: 'video.failed',
    data: { error: { code: 'bad_input' } },
  })
  await worker.heartbeat([], { draining: true })
})

test('a change that one API process makes reaches the watchers of every other', async () => {
  const replica = await api.replica()
  await using worker = new HandWorker(api, { pool: 'replicas' })
  const id = await submit()
  await using here = await openEvents(api.url, api.key, id)
  await using there = await openEvents(replica.url, api.key, id)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await progress(attempt, 6)
  await Promise.all([here.until(lastStep(6)), there.until(lastStep(6))])
  await using moved = await openEvents(replica.url, api.key, id, here.events.at(-1)?.id)
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await Promise.all([here, there, moved].map((reader) => reader.until(({ isClosed }) => isClosed)))
  for (const reader of [here, there, moved]) expect(reader.names().at(-1)).toBe('video.completed')
  expect(moved.names()).not.toContain('video.in_progress')
  await worker.heartbeat([], { draining: true })
})

test('a process that stops ends its streams, and the reader goes on elsewhere', async () => {
  const replica = await api.replica()
  const id = await submit()
  await using reader = await openEvents(replica.url, api.key, id)
  await reader.until(({ events }) => events.length === 1)
  await replica.stop()
  await reader.until(({ isClosed }) => isClosed)
  expect(reader.names()[0]).toBe('video.queued')
  await using elsewhere = await openEvents(api.url, api.key, id, reader.events.at(-1)?.id)
  await api.call('POST', `/v1/videos/${id}/cancel`)
  await elsewhere.until(({ isClosed }) => isClosed)
  expect(elsewhere.names()).not.toContain('video.queued')
  expect(elsewhere.names().at(-1)).toBe('video.failed')
})

test("a silent stream says that it is there, and nobody hears another tenant's video", async () => {
  const id = await submit()
  await using reader = await openEvents(api.url, api.key, id)
  await reader.until(({ comments }) => comments >= 3)
  const other = await api.account(1_000_000n)
  const refused = await callJson(api.url, other.key, 'GET', `/v1/videos/${id}/events`)
  expect(refused).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } })
  expect((await callJson(api.url, 'sk-nobody', 'GET', `/v1/videos/${id}/events`)).status).toBe(401)
  const head = await fetch(`${api.url}/v1/videos/${id}/events`, {
    method: 'HEAD',
    headers: { authorization: `Bearer ${api.key}` },
  })
  expect(head.status).toBe(200)
  await api.call('POST', `/v1/videos/${id}/cancel`)
})

test('2,000 watchers on one process: one look for all of them together, every one hears the end, memory stays flat', async () => {
  await using crowded = await startTestApi({
    timings: { watchEveryMs: 100 },
    // One account here watches more than a customer may.
    bounds: { streamsOfAccount: 10_000, streamsOfVideo: 10_000 },
  })
  const ids: string[] = []
  for (let video = 0; video < 20; video += 1)
    ids.push((await crowded.call('POST', '/v1/videos', SMALL)).body.id)
  const query = vi.spyOn(crowded.api.context.db, 'query')
  const looks = () => query.mock.calls.filter(([statement]) => statement.name === 'videos-changed').length
  const readers: EventReader[] = []
  for (const id of ids) {
    readers.push(
      ...(await Promise.all(Array.from({ length: 100 }, () => openEvents(crowded.url, crowded.key, id)))),
    )
  }
  await Promise.all(readers.map((reader) => reader.until(({ events }) => events.length > 0)))

  const startedAt = performance.now()
  const before = looks()
  const heapBytes: number[] = []
  for (let round = 0; round < 3; round += 1) {
    // A video that leaves the queue moves all behind it: every watcher hears of it.
    const [first = ''] = ids.splice(0, 1)
    const behind = readers.filter((reader) => reader.events[0]?.data.id !== first && !reader.isClosed)
    const counts = behind.map((reader) => reader.events.length)
    await crowded.call('POST', `/v1/videos/${first}/cancel`)
    await Promise.all(
      behind.map((reader, index) => reader.until(({ events }) => events.length > (counts[index] ?? 0))),
    )
    for (const reader of readers) reader.events.splice(0, reader.events.length - 1)
    heapBytes.push(heapUsed())
  }
  expect((heapBytes[2] ?? 0) - (heapBytes[0] ?? 0)).toBeLessThan(20_000_000)
  for (const id of ids) await crowded.call('POST', `/v1/videos/${id}/cancel`)
  await Promise.all(readers.map((reader) => reader.until(({ isClosed }) => isClosed)))
  for (const reader of readers) expect(reader.events.at(-1)?.name).toBe('video.failed')
  expect(looks() - before).toBeLessThanOrEqual((performance.now() - startedAt) / 100 + 2)
  // Nobody watches any more, so nobody looks.
  const after = looks()
  await expect.poll(looks, { interval: 300, timeout: 2_000 }).toBeLessThanOrEqual(after + 1)
})

function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

test('a stream ends when its key is revoked or has expired', async () => {
  const { accountId } = await api.account(1_000_000_000n)
  const admin = { key: api.adminKey }
  const keyOf = async (body: object) =>
    (await api.call('POST', `/v1/admin/accounts/${accountId}/keys`, body, admin)).body
  const [revoked, kept, expiring] = [await keyOf({}), await keyOf({}), await keyOf({})]
  const { id } = (await callJson(api.url, kept.key, 'POST', '/v1/videos', SMALL)).body
  await using first = await openEvents(api.url, revoked.key, id)
  await using second = await openEvents(api.url, kept.key, id)
  await using third = await openEvents(api.url, expiring.key, id)
  for (const reader of [first, second, third]) await reader.until(({ events }) => events.length === 1)
  await api.call('DELETE', `/v1/admin/keys/${revoked.id}`, undefined, admin)
  await first.until(({ isClosed }) => isClosed)
  await api.context.db.query({
    text: `update api_key set expires_at = now() where id = $1`,
    values: [expiring.id],
  })
  await third.until(({ isClosed }) => isClosed)
  expect(second.isClosed).toBe(false)
})

test('streams are bounded by video and by account, and no other account is refused for them', async () => {
  await using small = await startTestApi({
    bounds: { streamsOfAccount: 3, streamsOfVideo: 2, refusalPauseMs: 1 },
  })
  const other = await small.account(1_000_000_000n)
  const submitAs = async (key: string) =>
    (await callJson(small.url, key, 'POST', '/v1/videos', SMALL)).body.id
  const [watched, second] = [await submitAs(small.key), await submitAs(small.key)]
  const readers = [
    await openEvents(small.url, small.key, watched),
    await openEvents(small.url, small.key, watched),
  ]
  const refused = await small.call('GET', `/v1/videos/${watched}/events`)
  expect(refused).toMatchObject({ status: 429, body: { error: { code: 'too_many_at_once' } } })
  readers.push(await openEvents(small.url, small.key, second))
  expect((await small.call('GET', `/v1/videos/${second}/events`)).status).toBe(429)
  readers.push(await openEvents(small.url, other.key, await submitAs(other.key)))
  for (const reader of readers) expect(reader.response.statusCode).toBe(200)
  for (const reader of readers) await reader[Symbol.asyncDispose]()
})
