import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

const REQUEST = {
  prompt: 'a paper boat',
  num_frames: 5,
  num_steps: 10,
  size: '192x336',
  seed: 7,
  guidance: 5,
  motion_score: 2,
  negative_prompt: 'fog',
  service_tier: 'priority',
  metadata: { shot: '12' },
}
const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', path, body, { headers })
const admin = async (id: string) =>
  (await api.call('GET', `/v1/admin/videos/${id}`, undefined, { key: api.adminKey })).body
const fail = async (worker: HandWorker) => {
  const { body } = await post('/v1/videos', { ...REQUEST, execution_expires_after: 3_600 })
  const attempt = await worker.fetch()
  await attempt.report({
    type: 'failed',
    code: 'bad_input',
    message: 'no such motion',
    retryable: false,
    step: 0,
  })
  return body.id as string
}
const expiresAfter = async (id: string) => {
  const { rows } = await api.context.db.query<{ seconds: number }>({
    text: 'select extract(epoch from execution_expires_at - created_at)::int as seconds from video where id = $1',
    values: [id],
  })
  return rows[0]?.seconds
}

test('a failed video is made again as a new one with the same request and seed; the settled one stays as it was', async () => {
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const id = await fail(worker)
  const before = await admin(id)
  expect(before.transfers.map((transfer: { kind: string }) => transfer.kind)).toEqual(['hold', 'settle'])
  const retried = await post(`/v1/videos/${id}/retry`)
  expect(retried).toMatchObject({
    status: 200,
    body: { ...REQUEST, status: 'queued', retried_from: id, cost: { state: 'held' } },
  })
  expect(retried.body.id).not.toBe(id)
  expect(await expiresAfter(retried.body.id)).toBe(3_600)
  const attempt = await worker.fetch()
  expect(attempt.job.video).toBe(retried.body.id)
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  expect((await api.call('GET', `/v1/videos/${retried.body.id}`)).body).toMatchObject({
    status: 'completed',
    cost: { state: 'charged' },
  })
  expect(await admin(id)).toEqual(before)
  expect((await admin(retried.body.id)).transfers).toHaveLength(2)
  expect(
    (await api.call('GET', '/v1/admin/ledger/check?since=beginning', undefined, { key: api.adminKey })).body
      .ok,
  ).toBe(true)
  await worker.heartbeat([], { draining: true })
})

test('a cancelled video can be retried, and so can its retry; each names the one before it', async () => {
  const { body } = await post('/v1/videos', REQUEST)
  await post(`/v1/videos/${body.id}/cancel`)
  const second = (await post(`/v1/videos/${body.id}/retry`)).body
  expect(second).toMatchObject({ status: 'queued', retried_from: body.id, seed: 7 })
  await post(`/v1/videos/${second.id}/cancel`)
  const third = (await post(`/v1/videos/${second.id}/retry`)).body
  expect(third).toMatchObject({ retried_from: second.id, prompt: REQUEST.prompt })
  await post(`/v1/videos/${third.id}/cancel`)
})

test('a completed or unfinished video is not retried, and nothing is held', async () => {
  await using worker = new HandWorker(api, { pool: 'states' })
  const { body } = await post('/v1/videos', REQUEST)
  const refused = async () => {
    const before = await footprint(api)
    const answer = await post(`/v1/videos/${body.id}/retry`)
    expect(answer).toMatchObject({
      status: 409,
      body: { error: { code: 'state_conflict', param: 'video_id' } },
    })
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expect(await footprint(api)).toEqual(before)
  }
  await refused()
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 2, remaining_ms: 100 })
  await refused()
  await post(`/v1/videos/${body.id}/cancel`)
  await refused()
  await attempt.report({ type: 'cancelled', step: 3 })
  expect((await post(`/v1/videos/${body.id}/retry`)).status).toBe(200)
  const again = await worker.fetch()
  await again.report({ type: 'finished', result: await again.upload() })
  const done = await post(`/v1/videos/${again.job.video}/retry`)
  expect(done).toMatchObject({
    status: 409,
    body: { error: { code: 'state_conflict', message: expect.stringContaining('completed') } },
  })
})

test('a retry repeated by an SDK, or sent twice with one key, is one video; without either it is two', async () => {
  const { body } = await post('/v1/videos', REQUEST)
  await post(`/v1/videos/${body.id}/cancel`)
  const path = `/v1/videos/${body.id}/retry`
  const key = { 'idempotency-key': randomUUID() }
  const keyed = await Promise.all([post(path, undefined, key), post(path, undefined, key)])
  expect(new Set(keyed.map((answer) => answer.body.id)).size).toBe(1)
  const first = (await post(path, undefined, { 'x-stainless-retry-count': '0' })).body.id
  expect((await post(path, undefined, { 'x-stainless-retry-count': '1' })).body.id).toBe(first)
  expect((await post(path)).body.id).not.toBe(first)
})

test("another tenant's video, a deleted one and an unknown one are not found", async () => {
  const { body } = await post('/v1/videos', REQUEST)
  await post(`/v1/videos/${body.id}/cancel`)
  const other = await api.account(1_000_000n)
  const theirs = await callJson(api.url, other.key, 'POST', `/v1/videos/${body.id}/retry`)
  await api.call('DELETE', `/v1/videos/${body.id}`)
  for (const answer of [
    theirs,
    await post(`/v1/videos/${body.id}/retry`),
    await post('/v1/videos/video_x/retry'),
  ]) {
    expect(answer).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found', message: 'No such video.' } },
    })
  }
})
