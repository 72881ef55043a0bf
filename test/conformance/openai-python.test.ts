import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ENDPOINT_EVENTS } from '../../apps/api/src/webhooks/event.ts'
import { askServer } from '../support/ask-servers.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { startWebhookReceiver } from '../support/webhook-receiver.ts'
import { errorCases, PYTHON_CLASSES } from './error-cases.ts'

const program = fileURLToPath(new URL('openai_videos.py', import.meta.url))
let api: TestApi
let python: string

/** A fresh machine downloads the package first. */
const INSTALL_MS = 300_000

beforeAll(async () => {
  python = (await askServer('pythonOpenai')).python
  api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
}, INSTALL_MS)
afterAll(() => api?.stop())

// biome-ignore lint/suspicious/noExplicitAny: tests read whatever the program said, and fail on what is missing
type Said = any

/**
 * Runs a scenario of openai_videos.py. `next` answers its next line; `all` waits for its end and answers
 * those not yet read.
 */
function start(scenario: string, args: readonly string[] = [], { key = api.key, url = api.url } = {}) {
  const child = spawn(python, [program, scenario, ...args], {
    env: { PATH: process.env.PATH ?? '', OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: key },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<Said> => {
    const { value, done } = await lines.next()
    if (!done) return JSON.parse(value)
    throw new Error(`${scenario} said nothing more (exit ${(await ended)[0]}): ${complaints}`)
  }
  const all = async (): Promise<Said[]> => {
    const said: Said[] = []
    for (let line = await lines.next(); !line.done; line = await lines.next())
      said.push(JSON.parse(line.value))
    const [code] = await ended
    if (code !== 0) throw new Error(`${scenario} exited with ${code}: ${complaints}`)
    return said
  }
  const say = (line: string) => child.stdin.write(`${line}\n`)
  const write = (lines: string) => child.stdin.end(`${lines}\n`)
  return { next, all, say, write }
}

test('create_and_poll keeps the pace it is told, returns the completed video, and its three variants download', async () => {
  const client = start('create-and-poll')
  const { created } = await client.next()
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'taken', slot: 0 })
  await attempt.report({ type: 'started' })
  // Half a minute to go: a pace slower than the second that the package takes when it is told none.
  await attempt.report({ type: 'progress', phase: 'denoise', step: 25, remaining_ms: 30_000 })
  const paceMs = async () =>
    Number((await api.call('GET', `/v1/videos/${created}`)).headers.get('openai-poll-after-ms'))
  await eventually(paceMs, (ms) => ms > 1_000)
  client.write('')
  const first = await client.next()
  const second = await client.next()
  const pollAfterMs = Number(first.poll_after_ms)
  expect(pollAfterMs).toBeGreaterThan(1_000)
  expect((second.polled_at - first.polled_at) * 1_000).toBeGreaterThanOrEqual(pollAfterMs)
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await worker.heartbeat([], { draining: true })
  const { video } = (await client.all()).at(-1)
  expect(video).toMatchObject({
    id: created,
    object: 'video',
    status: 'completed',
    progress: 100,
    size: '1024x576',
    error: null,
  })
  expect(video.completed_at).toEqual(expect.any(Number))
  const text = `mp4 of ${created} ${attempt.claim}`
  expect(await start('download', [created]).all()).toEqual([text, 'webp', 'jpeg', text])
})

test('the list iterates over everything by itself and stops, also while it is deleted', async () => {
  const { key } = await api.account(1_000_000n)
  const [made, listed, deleted, left] = await start('pages', ['7'], { key }).all()
  expect(made).toHaveLength(7)
  expect(listed).toEqual(made)
  expect(deleted).toEqual(made.toReversed())
  expect(left).toEqual([])
})

test('each error is the class its status stands for, with code, param and request id', async () => {
  const cases = await errorCases(api)
  const client = start('errors')
  client.write(cases.map((one) => JSON.stringify(one)).join('\n'))
  const said = await client.all()
  expect(said).toHaveLength(cases.length)
  for (const [index, { title, error }] of cases.entries()) {
    expect(said[index], title).toEqual({
      ...error,
      class: PYTHON_CLASSES[error.status],
      request_id: expect.stringMatching(/^req_/),
    })
  }
})

test('what Open-Sora does not do is a BadRequestError that says so', async () => {
  const told = { class: 'BadRequestError', status: 400, code: 'unsupported_operation', param: null }
  expect(await start('unsupported').all()).toEqual(
    Array.from({ length: 4 }, () => ({ ...told, request_id: expect.stringMatching(/^req_/) })),
  )
})

test('an answer lost on the way is asked for again by the package: one video, one hold, also of a remix and of what is deleted', async () => {
  const { accountId, key } = await api.account(1_000_000n)
  await using proxy = await startFaultProxy(api.url, ['cut', 503])
  const before = await footprint(api)
  const client = start('retries', [], { key, url: proxy.url })
  const video = await client.next()
  proxy.faults.push(409, 'cut')
  client.say('')
  const remix = await client.next()
  const after = await footprint(api)
  proxy.faults.push('cut', 502)
  client.write('')
  expect(await client.all()).toEqual([true])
  expect(proxy.retryCounts).toEqual(['0', '1', '2', '0', '1', '2', '0', '1', '2'])
  expect(Number(after.videos) - Number(before.videos)).toBe(2)
  expect(Number(after.transfers) - Number(before.transfers)).toBe(2)
  const { rows } = await api.context.db.query({
    text: 'select id from video where account_id = $1 order by id',
    values: [accountId],
  })
  expect(rows).toEqual([{ id: video }, { id: remix }])
})

test('a real delivery is verified by openai and by standardwebhooks, with the secret of its endpoint and with no other', async () => {
  await using receiver = await startWebhookReceiver()
  const { key } = await api.account(1_000_000n)
  const ask = (method: string, path: string, body?: unknown) => api.call(method, path, body, { key })
  const { secret } = (await ask('POST', '/v1/webhook_endpoints', { url: `${receiver.url}/endpoint` })).body
  const own = (await ask('GET', '/v1/webhook_secret')).body.secret
  const asked = { prompt: 'a paper boat', num_frames: 5, webhook_url: `${receiver.url}/own` }
  const { id } = (await ask('POST', '/v1/videos', asked)).body
  await ask('POST', `/v1/videos/${id}/cancel`)
  await receiver.atLeast(2)
  const [endpoint, url] = ['/endpoint', '/own'].map((path) =>
    receiver.received.find((one) => one.path === path),
  )
  const client = start('deliveries')
  const cases = [
    { ...endpoint, secret },
    { ...url, secret: own },
    { ...endpoint, secret: own },
    { ...url, raw: url?.raw.replace('failed', 'completed'), secret: own },
  ]
  client.write(
    cases
      .map(({ raw, headers, secret: signedWith }) => JSON.stringify({ raw, headers, secret: signedWith }))
      .join('\n'),
  )
  const refused = ['InvalidWebhookSignatureError', 'WebhookVerificationError']
  const event = {
    id: endpoint?.event.id,
    object: 'event',
    type: 'video.failed',
    created_at: expect.any(Number),
    data: { id },
  }
  expect(await client.all()).toEqual([[event, event], [event, event], refused, refused])
})

test("the package's own webhook calls work: endpoints are made, listed, changed, tested, rotated and deleted", async () => {
  await using receiver = await startWebhookReceiver()
  const { key } = await api.account(1_000_000n)
  const [types, made, isListed, changed, tested, isRotated, read, deleted] = await start(
    'endpoints',
    [receiver.url],
    { key },
  ).all()
  expect(types).toEqual([...ENDPOINT_EVENTS])
  expect(made).toMatchObject({
    name: 'the shop',
    event_types: ['video.failed'],
    signing_secret: expect.stringMatching(/^whsec_/),
  })
  expect([isListed, isRotated]).toEqual([true, true])
  expect(changed).toMatchObject({ id: made.id, name: 'the other shop', event_types: ['video.completed'] })
  expect(tested).toMatchObject({
    webhook_endpoint_id: made.id,
    event_type: 'video.completed',
    status_code: 200,
    success: true,
  })
  expect(read).toMatchObject({
    id: made.id,
    name: 'the other shop',
    signing_secret_hint: expect.stringMatching(/^.{4}\.\.\.$/),
  })
  expect(deleted).toHaveLength(2)
  expect(deleted[1]).toMatchObject({ id: made.id, deleted: true })
})

test('a file goes in as input_reference and makes a video from an image', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-image-'))
  try {
    const path = join(dir, 'boat.jpg')
    await quadrants(320, 200).jpeg().toFile(path)
    const [video] = await start('image', [path]).all()
    expect(video).toMatchObject({ status: 'queued', mode: 'i2v', i2v_condition: 'tail', num_frames: 5 })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})

test('parameters of this service travel in extra_body, and remix and models work', async () => {
  const [video, remix, models, model] = await start('extras').all()
  expect(video).toMatchObject({
    seed: 42,
    guidance: 6.5,
    num_frames: 5,
    num_steps: 10,
    metadata: { shot: '12' },
  })
  expect(remix).toMatchObject({ prompt: 'b', remixed_from_video_id: video.id })
  expect(models).toEqual(expect.arrayContaining(['open-sora-2', 'animatic', 'sora-2', 'sora-2-pro']))
  expect(model).toBe('sora-2')
})
