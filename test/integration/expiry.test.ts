import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { filesBelow } from '../support/files-below.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { storeWith } from '../support/store-with.ts'

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }

async function complete(api: TestApi): Promise<string> {
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const { body } = await api.call('POST', '/v1/videos', SMALL)
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await worker.heartbeat([], { draining: true })
  return body.id
}
const content = (api: TestApi, id: string, accept = '*/*') =>
  fetch(`${api.url}/v1/videos/${id}/content`, { headers: { authorization: `Bearer ${api.key}`, accept } })
const filesOf = async (api: TestApi, id: string) =>
  (await filesBelow(join(api.dataDir, 'objects'))).filter((path) => path.includes(id))

test('files are kept for good unless the operator says otherwise', async () => {
  await using api = await startTestApi()
  const id = await complete(api)
  expect((await api.call('GET', `/v1/videos/${id}`)).body.expires_at).toBeNull()
  expect((await content(api, id)).status).toBe(200)
})

test('after its time a video answers 410 and its bytes are removed; the row and the ledger stay', async () => {
  await using api = await startTestApi({ retentionSeconds: 3 })
  const id = await complete(api)
  const { body: video } = await api.call('GET', `/v1/videos/${id}`)
  expect(video).toMatchObject({ status: 'completed', expires_at: expect.any(Number) })
  expect(Math.abs(video.expires_at - video.completed_at - 3)).toBeLessThanOrEqual(1)
  // No address of the files outlives them.
  expect((await content(api, id)).status).toBe(200)
  const signed = (await (await content(api, id, 'application/json')).json()) as {
    url: string
    expires_at: number
  }
  expect(signed.expires_at - video.expires_at).toBeLessThanOrEqual(1)
  expect((await filesOf(api, id)).length).toBeGreaterThan(0)

  await eventually(
    () => content(api, id),
    (answer) => answer.status === 410,
  )
  expect(await (await content(api, id)).json()).toEqual({
    error: {
      message: expect.stringContaining('were kept until'),
      type: 'invalid_request_error',
      code: 'content_expired',
      param: 'video_id',
    },
  })
  await eventually(
    () => filesOf(api, id),
    (files) => files.length === 0,
  )
  expect((await content(api, id)).status).toBe(410)
  await eventually(
    () => fetch(signed.url),
    (answer) => answer.status === 403 || answer.status === 404,
  )
  expect((await api.call('GET', `/v1/videos/${id}`)).body).toEqual(video)
  const admin = await api.call('GET', `/v1/admin/videos/${id}`, undefined, { key: api.adminKey })
  expect(admin.body.transfers).toHaveLength(2)
  expect(
    (await api.call('GET', '/v1/admin/ledger/check?since=beginning', undefined, { key: api.adminKey })).body
      .ok,
  ).toBe(true)
})

test('a video whose bytes the store will not remove keeps no other’s bytes lying', async () => {
  await using api = await startTestApi({ retentionSeconds: 86_400 })
  const ids: string[] = []
  for (let made = 0; made < 3; made += 1) ids.push(await complete(api))
  const [stubborn = '', ...others] = ids
  const { context } = api.api
  const { store } = context
  const refused: string[] = []
  // The sweep works with the parts that stand under `internal`.
  context.internal.store = storeWith(store, {
    deletePrefix: async (prefix, keep) => {
      if (!prefix.startsWith(`videos/${stubborn}`)) return store.deletePrefix(prefix, keep)
      refused.push(prefix)
      throw new Error('access denied')
    },
  })
  await context.db.query({
    text: `update video set expires_at = now() - interval '1 hour' - (id = $1)::int * interval '1 hour'`,
    values: [stubborn],
  })
  const removed = (id: string) =>
    eventually(
      () => filesOf(api, id),
      (files) => files.length === 0,
    )
  for (const id of others) await removed(id)
  // Another round, in which the stubborn one is left alone.
  const later = await complete(api)
  await context.db.query({
    text: `update video set expires_at = now() - interval '1 hour' where id = $1`,
    values: [later],
  })
  await removed(later)
  expect(refused).toHaveLength(1)
  expect((await filesOf(api, stubborn)).length).toBeGreaterThan(0)
})

test('a video keeps the time it was submitted with, and one that is not completed has none', async () => {
  await using api = await startTestApi()
  const kept = (await api.call('POST', '/v1/videos', SMALL)).body
  api.context.config.retentionSeconds = 86_400
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  expect((await api.call('GET', `/v1/videos/${kept.id}`)).body).toMatchObject({
    status: 'completed',
    expires_at: null,
  })
  const later = (await api.call('POST', '/v1/videos', SMALL)).body
  expect(later.expires_at).toBeNull()
  expect((await api.call('POST', `/v1/videos/${later.id}/cancel`)).body.expires_at).toBeNull()
})
