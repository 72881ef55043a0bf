import { randomUUID } from 'node:crypto'
import { DEFAULT_MODEL_ALIASES } from '@sluice/shared/models/openai-names'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { multipart, rawRequest } from '../support/raw-request.ts'
import { type Answer, callJson, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const post = (body: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', '/v1/videos', body, { headers })
const form = (
  parts: readonly (readonly [string, string])[],
  headers: Record<string, string> = {},
  boundary = 'boundary0',
) =>
  rawRequest(api.url, {
    method: 'POST',
    path: '/v1/videos',
    headers: {
      authorization: `Bearer ${api.key}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      ...headers,
    },
    body: multipart(parts, boundary),
  })
const cancel = (id: string) => api.call('POST', `/v1/videos/${id}/cancel`)
const count = async (): Promise<number> => Number((await footprint(api)).videos)

/** Every field of the video object and nothing else, by type. */
const VIDEO = {
  id: expect.stringMatching(/^video_[0-9a-z]{26}$/),
  object: 'video',
  model: 'animatic',
  status: 'queued',
  progress: 0,
  created_at: expect.any(Number),
  completed_at: null,
  expires_at: null,
  prompt: 'a paper boat',
  refined_prompt: null,
  refinement: null,
  remixed_from_video_id: null,
  retried_from: null,
  seconds: '0.20833333333333334',
  size: '336x192',
  error: null,
  mode: 't2v',
  i2v_condition: null,
  num_frames: 5,
  num_steps: 10,
  steps_done: 0,
  guidance: 7.5,
  guidance_img: 3,
  motion_score: 4,
  negative_prompt: '',
  seed: expect.any(Number),
  service_tier: 'standard',
  metadata: {},
  webhook_url: null,
  usage: { video_tokens: 504, steps: 10, generated_tokens: 5_040 },
  cost: { amount: '0.001008', currency: 'USD', state: 'held' },
  price_per_million: '0.2',
  max_price: null,
  not_before: null,
  waits_for: null,
  promise: null,
  queue_position: expect.any(Number),
  eta_seconds: null,
}
const ETA = { p50: expect.any(Number), p90: expect.any(Number) }

test('the video object has its documented fields and no others, at each status, and says how soon to ask again until it ends', async () => {
  const read = (id: string) => api.call('GET', `/v1/videos/${id}`)
  const queued = await post(SMALL)
  expect(queued).toMatchObject({ status: 200, body: VIDEO })
  expect(queued.body).toEqual(VIDEO)
  const pollMs = Number(queued.headers.get('openai-poll-after-ms'))
  expect(pollMs).toBeGreaterThanOrEqual(250)
  expect(pollMs).toBeLessThanOrEqual(5_000)
  expect(Math.abs(queued.body.created_at - Date.now() / 1_000)).toBeLessThan(60)
  const { id, seed } = queued.body

  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 4, remaining_ms: 600 })
  // The forecast behind eta_seconds is made anew once a second at most.
  const running = await eventually(
    () => read(id),
    (answer) => answer.body.eta_seconds !== null,
  )
  expect(running.headers.get('openai-poll-after-ms')).toMatch(/^\d+$/)
  expect(running.body).toEqual({
    ...VIDEO,
    id,
    seed,
    status: 'in_progress',
    progress: 40,
    steps_done: 4,
    queue_position: null,
    eta_seconds: ETA,
  })
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  const done = await read(id)
  expect(done.headers.get('openai-poll-after-ms')).toBeNull()
  expect(done.body).toEqual({
    ...VIDEO,
    id,
    seed,
    status: 'completed',
    progress: 100,
    steps_done: 10,
    completed_at: expect.any(Number),
    queue_position: null,
    cost: { ...VIDEO.cost, state: 'charged' },
  })

  const broken = await post(SMALL)
  const failing = await worker.fetch()
  await failing.report({
    type: 'failed',
    code: 'bad_input',
    message: 'no such motion',
    retryable: false,
    step: 0,
  })
  const nothing = {
    usage: { video_tokens: 504, steps: 0, generated_tokens: 0 },
    cost: { amount: '0', currency: 'USD', state: 'released' },
  }
  const failed = await read(broken.body.id)
  expect(failed.status).toBe(200)
  expect(failed.headers.get('openai-poll-after-ms')).toBeNull()
  expect(failed.body).toEqual({
    ...VIDEO,
    ...nothing,
    status: 'failed',
    queue_position: null,
    error: { code: 'bad_input', message: expect.stringContaining('no such motion') },
  })
  await worker.heartbeat([], { draining: true })

  const cancelled = await cancel((await post(SMALL)).body.id)
  expect(cancelled.body).toEqual({
    ...VIDEO,
    ...nothing,
    status: 'failed',
    queue_position: null,
    error: { code: 'cancelled', message: 'The video was cancelled.' },
  })
})

test('every answer carries a request id of its own', async () => {
  const paths = [
    '/health',
    '/ready',
    '/v1/models',
    '/v1/videos',
    '/v1/videos/nonsense',
    '/nothing',
    '/v1/videos/%ff',
    '/store/x',
  ]
  const ids = await Promise.all(
    paths.map(async (path) => (await api.call('GET', path)).headers.get('x-request-id')),
  )
  for (const id of ids) expect(id).toMatch(/^req_[0-9a-z]{26}$/)
  expect(new Set(ids).size).toBe(paths.length)
})

test('a list pages through everything once, in both orders, also while what it lists is deleted', async () => {
  const account = await api.account(1_000_000_000n)
  const call = (method: string, path: string, body?: unknown): Promise<Answer> =>
    callJson(api.url, account.key, method, path, body)
  expect((await call('GET', '/v1/videos')).body).toEqual({
    object: 'list',
    data: [],
    first_id: null,
    last_id: null,
    has_more: false,
  })
  const made: string[] = []
  for (let video = 0; video < 45; video += 1) made.push((await call('POST', '/v1/videos', SMALL)).body.id)
  const pages = async (order: string, each?: (id: string) => Promise<unknown>) => {
    const seen: string[][] = []
    for (let after = ''; ; after = `&after=${seen.at(-1)?.at(-1)}`) {
      const { body } = await call('GET', `/v1/videos?limit=10&order=${order}${after}`)
      const ids: string[] = body.data.map((video: { id: string }) => video.id)
      expect(body).toMatchObject({ object: 'list', first_id: ids[0], last_id: ids.at(-1) })
      seen.push(ids)
      for (const id of ids) await each?.(id)
      if (!body.has_more) return seen
    }
  }
  const ascending = await pages('asc')
  expect(ascending.map((page) => page.length)).toEqual([10, 10, 10, 10, 5])
  expect(ascending.flat()).toEqual(made)
  expect((await pages('desc')).flat()).toEqual(made.toReversed())
  // 20 by default, newest first; a page that ends exactly at the end has no more
  const first = (await call('GET', '/v1/videos')).body
  expect(first.data.map((video: { id: string }) => video.id)).toEqual(made.toReversed().slice(0, 20))
  expect((await call('GET', `/v1/videos?limit=5&order=asc&after=${made[39]}`)).body).toMatchObject({
    has_more: false,
    last_id: made[44],
  })
  expect((await pages('asc', (id) => call('DELETE', `/v1/videos/${id}`))).flat()).toEqual(made)
  expect((await call('GET', '/v1/videos')).body.data).toEqual([])
})

test('200 concurrent requests with one idempotency key are one video and one hold, and all answer it', async () => {
  const before = await footprint(api)
  const headers = { 'idempotency-key': randomUUID() }
  const answers = await Promise.all(Array.from({ length: 200 }, () => post(SMALL, headers)))
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 200 }, () => 200))
  expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1)
  expect(new Set(answers.map((answer) => answer.body.seed)).size).toBe(1)
  const after = await footprint(api)
  expect(Number(after.videos) - Number(before.videos)).toBe(1)
  expect(Number(after.transfers) - Number(before.transfers)).toBe(1)
  const other = await post({ ...SMALL, num_steps: 11 }, headers)
  expect(other).toMatchObject({
    status: 409,
    body: { error: { code: 'idempotency_conflict', param: 'Idempotency-Key' } },
  })
  expect(other.headers.get('x-should-retry')).toBe('false')
  // A key is its account's own.
  const theirs = await callJson(
    api.url,
    (await api.account(1_000_000n)).key,
    'POST',
    '/v1/videos',
    SMALL,
    headers,
  )
  expect(theirs.body.id).not.toBe(answers[0]?.body.id)
})

test('a retry an SDK sends by itself is the same video, whatever boundary and order its form has; without the mark it is another', async () => {
  const before = await count()
  const prompt = `a boat ${randomUUID()}`
  const first = await form(
    [
      ['prompt', prompt],
      ['num_frames', '5'],
      ['metadata[a]', '1'],
      ['metadata[b]', '2'],
    ],
    { 'x-stainless-retry-count': '0' },
  )
  expect(first.status).toBe(200)
  const retried = await form(
    [
      ['metadata[b]', '2'],
      ['metadata[a]', '1'],
      ['num_frames', '5'],
      ['prompt', prompt],
    ],
    { 'x-stainless-retry-count': '1' },
    'another-boundary',
  )
  expect(retried.body.id).toBe(first.body.id)
  expect(await count()).toBe(before + 1)
  const changed = await form(
    [
      ['prompt', prompt],
      ['num_frames', '9'],
    ],
    { 'x-stainless-retry-count': '1' },
  )
  expect(changed.body.id).not.toBe(first.body.id)
  const again = await form([
    ['prompt', prompt],
    ['num_frames', '5'],
    ['metadata[a]', '1'],
    ['metadata[b]', '2'],
  ])
  expect(again.body.id).not.toBe(first.body.id)
  expect(await count()).toBe(before + 3)
})

test('what is left out has its default, and what is given is echoed', async () => {
  const bare = (await post({ prompt: 'rain' })).body
  expect(bare).toMatchObject({
    model: 'animatic',
    size: '336x192',
    num_frames: 129,
    num_steps: 50,
    mode: 't2v',
    seconds: '5.375',
  })
  expect(bare.usage).toEqual({ video_tokens: 8_316, steps: 50, generated_tokens: 415_800 })
  expect(bare.cost).toEqual({ amount: '0.08316', currency: 'USD', state: 'held' })
  const given = {
    prompt: 'rain',
    model: 'open-sora-2',
    size: '256x256',
    num_frames: 97,
    num_steps: 20,
    guidance: 6.25,
    guidance_img: 0,
    seed: 42,
    motion_score: 7,
    negative_prompt: 'blurry',
    mode: 't2v',
    service_tier: 'priority',
    metadata: { shot: '12' },
  }
  const echoed = (await post({ ...given, max_tokens: 1_000_000, max_cost: 5, execution_expires_after: 60 }))
    .body
  expect(echoed).toMatchObject(given)
  // 25 x 16 x 16 positions x 20 steps at 0.20 per million, priority 1.5x
  expect(echoed).toMatchObject({ usage: { generated_tokens: 128_000 }, cost: { amount: '0.0384' } })
  expect((await post({ prompt: 'rain', service_tier: 'flex' })).body.cost.amount).toBe('0.04158')
})

test('a form says what JSON says: numbers are numbers, metadata is an object, costs are decimals', async () => {
  const metadata = [
    ['metadata[shot]', '12'],
    ['metadata[take]', 'b c'],
  ] as const
  const numbers = [
    ['num_frames', '5'],
    ['num_steps', '10'],
    ['guidance', '6.5'],
    ['seed', '0'],
    ['motion_score', '2'],
  ] as const
  const answer = await form([
    ['prompt', '1984'],
    ...numbers,
    ...metadata,
    ['max_tokens', '5040'],
    ['max_cost', '0.001008'],
  ])
  expect(answer.body).toMatchObject({
    prompt: '1984',
    num_frames: 5,
    num_steps: 10,
    guidance: 6.5,
    seed: 0,
    motion_score: 2,
    metadata: { shot: '12', take: 'b c' },
  })
  for (const max_cost of [0.001008, '0.001008', 1, '1'])
    expect((await post({ ...SMALL, max_cost })).status).toBe(200)
  for (const max_cost of [0.001007, '0.001007', 0]) {
    expect(await post({ ...SMALL, max_cost })).toMatchObject({
      status: 400,
      body: { error: { code: 'max_cost_too_small' } },
    })
  }
})

test.each([
  ['1280x720', '1024x576'],
  ['720x1280', '576x1024'],
  ['1792x1024', '992x592'],
  ['1024x1792', '592x992'],
])('the OpenAI size %s is made at %s, and the answer says so', async (asked, made) => {
  const { body } = await form([
    ['prompt', 'rain'],
    ['model', 'sora-2'],
    ['size', asked],
    ['seconds', '4'],
    ['num_steps', '1'],
  ])
  expect(body).toMatchObject({ model: 'animatic', size: made, num_frames: 97, seconds: '4.041666666666667' })
})

test.each([
  ['4', 97],
  [4, 97],
  ['5', 121],
  ['1', 25],
  ['5.375', 129],
  ['4.041666666666667', 97],
  [5.375, 129],
])('seconds %s means %i frames', async (seconds, frames) => {
  const { body } = await post({ prompt: 'rain', seconds, num_steps: 1 })
  expect(body).toMatchObject({ num_frames: frames, seconds: String(frames / 24) })
  // What the answer says may be asked for again.
  expect((await post({ prompt: 'rain', seconds: body.seconds, num_steps: 1 })).body.num_frames).toBe(frames)
})

test('a form of any call has its numbers read as its document says', async () => {
  const { status, body } = await rawRequest(api.url, {
    method: 'POST',
    path: '/v1/admin/accounts',
    headers: { authorization: `Bearer ${api.adminKey}`, 'content-type': 'multipart/form-data; boundary=b' },
    body: multipart(
      [
        ['name', '42'],
        ['weight', '300'],
      ],
      'b',
    ),
  })
  expect([status, body]).toMatchObject([200, { name: '42', weight: 300, queued_max: 1_000 }])
})

test('models are listed with their licence, limits and aliases', async () => {
  const { body } = await api.call('GET', '/v1/models')
  expect(body.object).toBe('list')
  expect(body.data.map((model: { id: string }) => model.id)).toEqual([
    'open-sora-2',
    'animatic',
    ...DEFAULT_MODEL_ALIASES,
  ])
  for (const model of body.data) {
    expect(model).toMatchObject({
      object: 'model',
      created: expect.any(Number),
      owned_by: expect.any(String),
      licence: expect.any(String),
    })
    expect(model.sizes).toHaveLength(26)
    expect(model).toMatchObject({
      frames: { min: 1, max: 129, fps: 24 },
      steps: { min: 1, max: 100 },
      modes: ['t2v', 'i2v'],
    })
  }
  expect(body.data.filter((model: { is_default: boolean }) => model.is_default)).toMatchObject([
    { id: 'animatic' },
  ])
  expect(body.data[2]).toMatchObject({ alias_of: 'animatic' })
  for (const { id } of body.data) expect((await post({ ...SMALL, model: id })).status).toBe(200)
})

test('credits add up: what can be spent, what is held, what was used', async () => {
  const account = await api.account(1_000_000n)
  const call = (method: string, path: string, body?: unknown) =>
    callJson(api.url, account.key, method, path, body)
  const credits = async () => (await call('GET', '/v1/credits')).body
  const money = (amount: string) => ({ amount, currency: 'USD' })
  const zero = money('0')
  expect(await credits()).toEqual({
    object: 'credits',
    balance: money('1'),
    paid: zero,
    trial: money('1'),
    held: zero,
    used: zero,
    expiring: [],
    balance_low: null,
    top_up_url: null,
    data: { total_credits: 1, total_usage: 0 },
  })
  const { body } = await call('POST', '/v1/videos', { prompt: 'rain' })
  expect(await credits()).toMatchObject({
    balance: money('0.91684'),
    held: money('0.08316'),
    used: zero,
    data: { total_credits: 1 },
  })
  await call('POST', `/v1/videos/${body.id}/cancel`)
  expect(await credits()).toMatchObject({ balance: money('1'), held: zero, used: zero })
  await call('POST', '/v1/videos', { ...SMALL, service_tier: 'priority' })
  await using worker = new HandWorker(api, { pool: 'credits' })
  await worker.heartbeat()
  for (;;) {
    const attempt = await worker.fetch()
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    if ((await credits()).used.amount !== '0') break
  }
  await worker.heartbeat([], { draining: true })
  expect(await credits()).toMatchObject({
    balance: money('0.998488'),
    held: zero,
    used: money('0.001512'),
    data: { total_credits: 1, total_usage: 0.001512 },
  })
})

test('a remix is a new video with the settings of another, its seed unless another is named, and a prompt of its own', async () => {
  const settings = {
    num_frames: 9,
    num_steps: 3,
    guidance: 5,
    seed: 7,
    size: '192x336',
    service_tier: 'flex',
    negative_prompt: 'fog',
  }
  const source = (await post({ ...SMALL, ...settings, metadata: { shot: '1' } })).body
  const remix = await api.call('POST', `/v1/videos/${source.id}/remix`, { prompt: 'at night' })
  expect(remix).toMatchObject({
    status: 200,
    body: { ...settings, prompt: 'at night', remixed_from_video_id: source.id, metadata: {} },
  })
  expect(remix.body.id).not.toBe(source.id)
  expect(remix.body.cost).toEqual(source.cost)
  const reseeded = await api.call('POST', `/v1/videos/${source.id}/remix`, { prompt: 'at night', seed: 8 })
  expect(reseeded.body).toMatchObject({ ...settings, seed: 8, remixed_from_video_id: source.id })
  const refusals = [
    [{}, 'missing_parameter', 'prompt'],
    [{ prompt: 'x', seed: -1 }, 'invalid_value', 'seed'],
    [{ prompt: 'x', num_steps: 1 }, 'unknown_parameter', 'num_steps'],
    [{ prompt: ' ' }, 'invalid_value', 'prompt'],
  ] as const
  const before = await footprint(api)
  for (const [body, code, param] of refusals) {
    expect(await api.call('POST', `/v1/videos/${source.id}/remix`, body)).toMatchObject({
      status: 400,
      body: { error: { code, param } },
    })
  }
  expect(await footprint(api)).toEqual(before)
})
