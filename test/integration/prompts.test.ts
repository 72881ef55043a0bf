import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { type JsonServer, sayJson, startJsonServer } from '../support/json-server.ts'
import { multipart, rawRequest } from '../support/raw-request.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

const SMALL = { num_frames: 5, num_steps: 10 }
const TIMEOUT_MS = 500
let hook: JsonServer
let refiner: JsonServer
let api: TestApi

const allow: JsonServer['answer'] = (response, { body }) => {
  const flagged = /forbidden/.test(body.input)
  sayJson(response, {
    id: 'modr-1',
    results: [{ flagged, categories: { violence: flagged, hate: false, 'bad\nname': flagged } }],
  })
}
const refine: JsonServer['answer'] = (response, { body }) =>
  sayJson(response, {
    choices: [
      { message: { role: 'assistant', content: `  Wide shot: ${body.messages.at(-1).content}, at dusk.\n` } },
    ],
  })
const silent: JsonServer['answer'] = () => {}

beforeAll(async () => {
  hook = await startJsonServer(allow)
  refiner = await startJsonServer(refine)
  api = await startTestApi({
    moderation: {
      url: `${hook.url}/moderate`,
      key: 'mod-key',
      failOpen: false,
      takesImages: false,
      timeoutMs: TIMEOUT_MS,
    },
    refiner: { url: `${refiner.url}/v1`, model: 'writer-1', key: 'ref-key', timeoutMs: TIMEOUT_MS },
  })
})
afterAll(async () => {
  await api.stop()
  await hook[Symbol.asyncDispose]()
  await refiner[Symbol.asyncDispose]()
})
beforeEach(() => {
  hook.answer = allow
  refiner.answer = refine
  hook.asked.length = 0
  refiner.asked.length = 0
})

const post = (body: Record<string, unknown>, headers: Record<string, string> = {}) =>
  api.call('POST', '/v1/videos', { ...SMALL, ...body }, { headers })

test('a prompt is asked about before anything is held, and one that is flagged is refused with the categories the hook gave', async () => {
  expect((await post({ prompt: 'a paper boat' })).status).toBe(200)
  expect(hook.asked).toMatchObject([
    { path: '/moderate', body: { input: 'a paper boat' }, headers: { authorization: 'Bearer mod-key' } },
  ])
  const before = await footprint(api)
  const refused = await post({ prompt: 'a forbidden boat' })
  expect(refused).toMatchObject({
    status: 400,
    body: { error: { code: 'moderation_refused', param: 'prompt' } },
  })
  expect(refused.body.error.message).toBe(
    'The prompt was refused by the moderation of this service (violence). Nothing was charged.',
  )
  expect(await footprint(api)).toEqual(before)
  expect((await api.call('POST', '/v1/videos/quote', { prompt: 'a forbidden boat' })).status).toBe(200)
})

test('a remix is asked about, and so is a retry', async () => {
  const { body } = await post({ prompt: 'a paper boat' })
  const remix = await api.call('POST', `/v1/videos/${body.id}/remix`, { prompt: 'a forbidden boat' })
  expect(remix).toMatchObject({ status: 400, body: { error: { code: 'moderation_refused' } } })
  await api.call('POST', `/v1/videos/${body.id}/cancel`)
  hook.answer = (response) => sayJson(response, { results: [{ flagged: true }] })
  const retry = await api.call('POST', `/v1/videos/${body.id}/retry`)
  expect(retry.body.error.message).toBe(
    'The prompt was refused by the moderation of this service. Nothing was charged.',
  )
})

test('every text that steers the video is asked about, and the image where the hook takes images; the field is named', async () => {
  expect((await post({ prompt: 'a paper boat', negative_prompt: 'blurry' })).status).toBe(200)
  expect(hook.asked.map(({ body }) => body.input).toSorted()).toEqual(['a paper boat', 'blurry'])
  const refused = await post({ prompt: 'a paper boat', negative_prompt: 'forbidden' })
  expect(refused).toMatchObject({
    status: 400,
    body: { error: { code: 'moderation_refused', param: 'negative_prompt' } },
  })
  const moderation = { ...api.config.moderation, takesImages: true } as NonNullable<
    typeof api.config.moderation
  >
  const seeing = await api.replica({ moderation })
  hook.answer = (response, { body }) =>
    sayJson(response, { results: [{ flagged: Array.isArray(body.input) }] })
  const png = await quadrants(64, 64).png().toBuffer()
  const withImage = { ...SMALL, prompt: 'a boat', input_reference: png.toString('base64') }
  const before = await footprint(api)
  const seen = await callJson(seeing.url, api.key, 'POST', '/v1/videos', withImage)
  expect(seen.body.error).toMatchObject({ code: 'moderation_refused', param: 'input_reference' })
  expect(hook.asked.at(-1)?.body.input).toMatchObject([
    { type: 'image_url', image_url: { url: expect.stringMatching(/^data:image\/png;base64,/) } },
  ])
  expect(await footprint(api)).toEqual(before)
  // A hook that was set up for text alone gets text alone.
  expect((await api.call('POST', '/v1/videos', withImage)).status).toBe(200)
})

const outages: [string, JsonServer['answer']][] = [
  ['says nothing', silent],
  ['fails', (response) => sayJson(response, { error: 'boom' }, 500)],
  ['answers something else', (response) => sayJson(response, { results: [] })],
  ['answers no JSON', (response) => void response.end('<html>')],
  ['breaks off', (response) => void response.destroy()],
  ['redirects', (response) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end()],
  ['never ends its answer', (response) => void response.write('{"results": [')],
]

test.each(outages)(
  'a hook that %s is an outage: a 503 in bounded time with nothing held, or let through where the operator says so',
  async (_, answer) => {
    hook.answer = answer
    const before = await footprint(api)
    const startedAt = performance.now()
    expect(await post({ prompt: 'a paper boat' })).toMatchObject({
      status: 503,
      body: { error: { code: 'unavailable' } },
    })
    expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS + 2_000)
    expect(await footprint(api)).toEqual(before)
    const { moderation } = api.config
    if (moderation === null) throw new Error('no hook')
    moderation.failOpen = true
    try {
      expect((await post({ prompt: 'a paper boat' })).status).toBe(200)
    } finally {
      moderation.failOpen = false
    }
  },
)

test('a video that is there is answered without asking anybody again', async () => {
  const headers = { 'idempotency-key': randomUUID() }
  const first = await post({ prompt: 'a paper boat', refine_prompt: true }, headers)
  hook.answer = silent
  refiner.answer = silent
  const again = await post({ prompt: 'a paper boat', refine_prompt: true }, headers)
  expect(again.body.id).toBe(first.body.id)
  expect(again.body.refined_prompt).toBe(first.body.refined_prompt)
  expect(refiner.asked).toHaveLength(1)
})

test('a refined prompt goes to the runner, and both are kept and shown; without the wish nobody is asked', async () => {
  await using worker = new HandWorker(api)
  const plain = await post({ prompt: 'a plain boat' })
  expect(plain.body).toMatchObject({ prompt: 'a plain boat', refined_prompt: null, refinement: null })
  expect(refiner.asked).toEqual([])
  await api.call('POST', `/v1/videos/${plain.body.id}/cancel`)
  const { body } = await post({ prompt: 'a paper boat', refine_prompt: true })
  const refined = 'Wide shot: a paper boat, at dusk.'
  expect(body).toMatchObject({ prompt: 'a paper boat', refined_prompt: refined, refinement: 'refined' })
  expect(refiner.asked).toMatchObject([
    {
      path: '/v1/chat/completions',
      headers: { authorization: 'Bearer ref-key' },
      body: { model: 'writer-1', messages: [{ role: 'system' }, { role: 'user', content: 'a paper boat' }] },
    },
  ])
  // What the runner gets was asked about too.
  expect(hook.asked.map((asked) => asked.body.input)).toEqual(['a plain boat', 'a paper boat', refined])
  await worker.heartbeat()
  for (;;) {
    const attempt = await worker.fetch()
    const { assignment } = await attempt.report({ type: 'taken', slot: 0 })
    if (attempt.job.video === body.id) {
      expect(assignment?.request.prompt).toBe(refined)
      await attempt.report({ type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 0 })
      break
    }
    await attempt.report({ type: 'finished', result: await attempt.upload() })
  }
  await worker.heartbeat([], { draining: true })
  // A retry is given the same words, whatever the refiner would say now.
  refiner.answer = silent
  const retried = await api.call('POST', `/v1/videos/${body.id}/retry`)
  expect(retried.body).toMatchObject({
    prompt: 'a paper boat',
    refined_prompt: refined,
    refinement: 'refined',
    seed: body.seed,
  })
  expect(refiner.asked).toHaveLength(1)
})

const notPrompts: [string, JsonServer['answer']][] = [
  ...outages,
  ['answers nothing', (response) => sayJson(response, { choices: [{ message: { content: ' ' } }] })],
  [
    'answers too much',
    (response) => sayJson(response, { choices: [{ message: { content: 'x'.repeat(4_001) } }] }),
  ],
  [
    'answers half a character',
    (response) => void response.end('{"choices":[{"message":{"content":"a \\ud800"}}]}'),
  ],
  ['never stops answering', (response) => void response.end(`"${'x'.repeat(1_000_000)}"`)],
]

test.each(notPrompts)(
  'a refiner that %s blocks nothing: within its bound the prompt is used as given, and the video says so',
  async (_, answer) => {
    refiner.answer = answer
    const startedAt = performance.now()
    const { status, body } = await post({ prompt: 'a paper boat', refine_prompt: true })
    expect(performance.now() - startedAt).toBeLessThan(TIMEOUT_MS + 2_000)
    expect({ status, ...body }).toMatchObject({
      status: 'queued',
      prompt: 'a paper boat',
      refined_prompt: null,
      refinement: 'unavailable',
    })
  },
)

test('words of the refiner that moderation refuses are not used', async () => {
  refiner.answer = (response) =>
    sayJson(response, { choices: [{ message: { content: 'a forbidden boat' } }] })
  const { body } = await post({ prompt: 'a paper boat', refine_prompt: true })
  expect(body).toMatchObject({ prompt: 'a paper boat', refined_prompt: null, refinement: 'refused' })
})

test('a form may wish for a refinement, and a service without a refiner says that it has none', async () => {
  const form = (value: string) =>
    rawRequest(api.url, {
      method: 'POST',
      path: '/v1/videos',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'multipart/form-data; boundary=b' },
      body: multipart(
        [
          ['prompt', 'a paper boat'],
          ['num_frames', '5'],
          ['refine_prompt', value],
        ],
        'b',
      ),
    })
  expect((await form('true')).body.refinement).toBe('refined')
  expect((await form('false')).body.refinement).toBeNull()
  expect(await form('perhaps')).toMatchObject({
    status: 400,
    body: { error: { code: 'invalid_value', param: 'refine_prompt' } },
  })
  await using bare = await startTestApi()
  for (const path of ['/v1/videos', '/v1/videos/quote']) {
    const answer = await bare.call('POST', path, { ...SMALL, prompt: 'a boat', refine_prompt: true })
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', param: 'refine_prompt' } },
    })
  }
  expect(
    (await bare.call('POST', '/v1/videos', { ...SMALL, prompt: 'a boat', refine_prompt: false })).status,
  ).toBe(200)
})
