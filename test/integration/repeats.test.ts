import { OpenAI } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { sayJson, startJsonServer } from '../support/json-server.ts'
import { operatorOf } from '../support/operator.ts'
import { rawConnection } from '../support/raw-connection.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

const COUNT = 'x-stainless-retry-count'
const requestOf = (prompt: string) => ({ prompt, num_frames: 5, num_steps: 2 })

/** Sends a submission as an SDK does that has sent it `tries` times before. */
async function send(prompt: string, tries: number, { url, key }: { url: string; key: string } = api) {
  return callJson(url, key, 'POST', '/v1/videos', requestOf(prompt), { [COUNT]: String(tries) })
}

async function idsOf(prompt: string): Promise<string[]> {
  const { rows } = await api.context.db.query<{ id: string }>({
    text: `select id from video where request ->> 'prompt' = $1 order by id`,
    values: [prompt],
  })
  return rows.map(({ id }) => id)
}

test('a call that was refused is a new call when its SDK repeats it, beside an equal one that was answered', async () => {
  const { accountId } = await api.account(1_000_000_000n)
  const limited = await api.call(
    'POST',
    `/v1/admin/accounts/${accountId}/keys`,
    { queued_max: 1 },
    { key: api.adminKey },
  )
  const caller = { url: api.url, key: limited.body.key }
  const first = await send('refused', 0, caller)
  const refused = await send('refused', 0, caller)
  expect([first.status, refused.status]).toEqual([200, 429])
  await callJson(api.url, caller.key, 'POST', `/v1/videos/${first.body.id}/cancel`)
  const repeated = await send('refused', 1, caller)
  expect(repeated.status).toBe(200)
  expect(repeated.body.id).not.toBe(first.body.id)
  expect(await idsOf('refused')).toEqual([first.body.id, repeated.body.id])
})

test('a call whose answer was spoiled on its way gets its video once: a second repeat is another call', async () => {
  const first = await send('spoiled', 0)
  expect((await send('spoiled', 1)).body.id).toBe(first.body.id)
  // The same call once more, and then another one that was never here before.
  expect((await send('spoiled', 2)).body.id).toBe(first.body.id)
  expect((await send('spoiled', 1)).body.id).not.toBe(first.body.id)
  expect(await idsOf('spoiled')).toHaveLength(2)
  const once = await send('spoiled once', 0)
  expect((await send('spoiled once', 1)).body.id).toBe(once.body.id)
  expect((await send('spoiled once', 1)).body.id).not.toBe(once.body.id)
})

test('a refusal that no SDK repeats is nobody’s try: the repeat is of the call that was answered', async () => {
  const operator = operatorOf(api)
  const accountId = await operator.account()
  const { key } = await operator.key(accountId)
  const caller = { url: api.url, key }
  expect((await send('too poor', 0, caller)).status).toBe(402)
  await operator.must('POST', `/v1/admin/accounts/${accountId}/credit`, { amount: '1' })
  const answered = await send('too poor', 0, caller)
  expect(answered.status).toBe(200)
  expect((await send('too poor', 1, caller)).body.id).toBe(answered.body.id)
})

test('a video that its caller asked for, or deleted, is never the answer of another call', async () => {
  const known = await send('known', 0)
  await api.call('GET', `/v1/videos/${known.body.id}`)
  expect((await send('known', 1)).body.id).not.toBe(known.body.id)

  const deleted = await send('deleted', 0)
  await api.call('DELETE', `/v1/videos/${deleted.body.id}`)
  const repeated = await send('deleted', 1)
  expect(repeated.status).toBe(200)
  expect(repeated.body.id).not.toBe(deleted.body.id)

  const key = { 'idempotency-key': 'deleted' }
  const keyed = await api.call('POST', '/v1/videos', requestOf('keyed'), { headers: key })
  await api.call('DELETE', `/v1/videos/${keyed.body.id}`)
  const again = await api.call('POST', '/v1/videos', requestOf('keyed'), { headers: key })
  expect(again).toMatchObject({ status: 409, body: { error: { code: 'idempotency_conflict' } } })
})

test('of a call whose client is gone before its video is there, no video is made, and its repeat makes one', async () => {
  const answered = Promise.withResolvers<void>()
  await using hook = await startJsonServer((response) => {
    answered.promise.then(
      () => sayJson(response, { results: [{ flagged: false }] }),
      () => {},
    )
  })
  const moderation = { url: hook.url, key: undefined, timeoutMs: 10_000, failOpen: false, takesImages: false }
  const slow = await api.replica({ moderation })
  const body = JSON.stringify(requestOf('gone'))
  const head = `POST /v1/videos HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${api.key}\r\n${COUNT}: 0\r\n`
  const type = `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
  const connection = await rawConnection(slow.url, head + type + body)
  await eventually(
    async () => hook.asked.length,
    (count) => count === 1,
  )
  connection.socket.destroy()
  await connection.closed
  const repeated = send('gone', 1, { url: slow.url, key: api.key })
  answered.resolve()
  const { id } = (await repeated).body
  expect(await idsOf('gone')).toEqual([id])
})

test('an answer that a killed process never sent is found by the repeat, in any process', async () => {
  const first = await send('killed', 0)
  // As a process leaves it that dies between the commit and the answer, a while ago.
  await eventually(
    async () =>
      (await api.context.db.query({ text: `select from unconfirmed_answer where state = 'open'` })).rowCount,
    (count) => count === 0,
  )
  await api.context.db.query({
    text: `update unconfirmed_answer set state = 'open', changed_at = now() - interval '5 s' where video_id = $1`,
    values: [first.body.id],
  })
  const replica = await api.replica()
  expect((await send('killed', 1, { url: replica.url, key: api.key })).body.id).toBe(first.body.id)
})

test('a refusal counts in every process: the repeat may come to another one', async () => {
  const { accountId } = await api.account(1_000_000_000n)
  const limited = await api.call(
    'POST',
    `/v1/admin/accounts/${accountId}/keys`,
    { queued_max: 1 },
    { key: api.adminKey },
  )
  const caller = { url: api.url, key: limited.body.key }
  const replica = await api.replica()
  const first = await send('elsewhere', 0, caller)
  expect((await send('elsewhere', 0, caller)).status).toBe(429)
  await eventually(
    async () => (await api.context.db.query({ text: 'select from refused_try' })).rowCount,
    (count) => count === 1,
  )
  await callJson(api.url, caller.key, 'POST', `/v1/videos/${first.body.id}/cancel`)
  const repeated = await send('elsewhere', 1, { ...caller, url: replica.url })
  expect(repeated.body.id).not.toBe(first.body.id)
})

test('ten equal creates at once by an SDK with its own retries are as many videos as answers, whatever is refused', async () => {
  const { accountId } = await api.account(1_000_000_000n)
  const limited = await api.call(
    'POST',
    `/v1/admin/accounts/${accountId}/keys`,
    { queued_max: 2 },
    { key: api.adminKey },
  )
  const client = new OpenAI({ apiKey: limited.body.key, baseURL: `${api.url}/v1` })
  const calls = Array.from({ length: 10 }, () => client.videos.create({ prompt: 'ten at once' }))
  const answers = await Promise.allSettled(calls)
  const ids = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.id] : []))
  expect(ids).toHaveLength(2)
  expect(ids.toSorted()).toEqual(await idsOf('ten at once'))
})
