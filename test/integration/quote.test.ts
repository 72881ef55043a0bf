import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { FIRST_MODELS } from '@sluice/shared/models/built-in-models'
import { openAiSizesOf } from '@sluice/shared/models/openai-names'
import { formatSize } from '@sluice/shared/models/sizes'
import { parseMicros } from '@sluice/shared/money'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { multipart, rawRequest } from '../support/raw-request.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

const quote = async (body: unknown) => {
  const answer = await api.call('POST', '/v1/videos/quote', body)
  expect(answer.body).toMatchObject({ object: 'video.quote' })
  return answer.body
}
const SIZES = [
  ...new Set(
    FIRST_MODELS.flatMap((model) => [
      ...model.sizes.map(formatSize),
      ...openAiSizesOf(model).map(({ asked }) => asked),
    ]),
  ),
]
const validRequest = fc.record(
  {
    prompt: fc.constant('a paper boat'),
    model: fc.constantFrom('animatic', 'open-sora-2', 'sora-2', 'sora-2-pro'),
    size: fc.constantFrom(...SIZES),
    num_frames: fc.integer({ min: 0, max: 32 }).map((k) => 4 * k + 1),
    num_steps: fc.integer({ min: 1, max: 100 }),
    service_tier: fc.constantFrom('priority', 'standard', 'flex'),
    guidance: fc.integer({ min: 0, max: 30 }),
    seed: fc.nat(),
  },
  { requiredKeys: ['prompt'] },
)

test('a quote is exactly what the submission holds, for any valid request', async () => {
  await fc.assert(
    fc.asyncProperty(validRequest, async (request) => {
      const quoted = await quote(request)
      const { body: video } = await api.call('POST', '/v1/videos', request)
      expect(video.cost).toEqual({ ...quoted.cost, state: 'held' })
      for (const field of ['model', 'size', 'seconds', 'num_frames', 'num_steps', 'usage', 'service_tier']) {
        expect(quoted[field]).toEqual(video[field])
      }
      // What the ledger set aside, not what the video says of it.
      const { rows } = await api.context.db.query<{ amount: bigint }>({
        text: `select e.amount
        from transfer t
        join entry e on e.transfer_id = t.id
        join ledger_account a on a.id = e.ledger_account_id
        where t.video_id = $1 and t.kind = 'hold' and a.kind = 'hold'`,
        values: [video.id],
      })
      expect(rows).toEqual([{ amount: parseMicros(quoted.cost.amount) }])
      await api.call('POST', `/v1/videos/${video.id}/cancel`)
    }),
    { numRuns: 100 },
  )
})

test('a quote leaves nothing behind, and refuses what a submission refuses', async () => {
  const before = await footprint(api)
  await quote({ prompt: 'rain' })
  const bads = [
    {},
    { prompt: 'rain', num_frames: 100 },
    { prompt: 'rain', colour: 'red' },
    { prompt: 'rain', size: '1x1' },
    { prompt: 'rain', webhook_url: 'http://10.0.0.1/hook' },
    { prompt: 'rain', webhook_url: 'https://localhost/' },
    { prompt: 'rain', input_reference: 'https://10.0.0.1/a.png' },
    { prompt: 'rain', mode: 'i2v' },
    { prompt: 'rain', model: 'gpt-4' },
    { prompt: 'rain', seconds: '12' },
    { prompt: 'rain', refine_prompt: true },
  ]
  for (const bad of bads) {
    const [asQuote, asVideo] = [
      await api.call('POST', '/v1/videos/quote', bad),
      await api.call('POST', '/v1/videos', bad),
    ]
    expect(asQuote.status).toBe(400)
    expect(asQuote.body).toEqual(asVideo.body)
  }
  expect(await footprint(api)).toEqual(before)
})

test('a quote takes the form that a submission takes', async () => {
  const answer = await rawRequest(api.url, {
    method: 'POST',
    path: '/v1/videos/quote',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'multipart/form-data; boundary=b' },
    body: multipart(
      [
        ['prompt', 'rain'],
        ['seconds', '4'],
        ['service_tier', 'priority'],
      ],
      'b',
    ),
  })
  expect(answer.body).toMatchObject({
    num_frames: 97,
    num_steps: 50,
    within_limits: true,
    largest: null,
    usage: { video_tokens: 6_300, steps: 50, generated_tokens: 315_000 },
    cost: { amount: '0.0945', currency: 'USD' },
    price: { per_million_tokens: '0.2', multiplier: '1.5' },
  })
})

test('the largest settings that fit a ceiling are taken by a submission with it, and one step more is not', async () => {
  const ceiling = fc.oneof(
    fc.record({ max_tokens: fc.integer({ min: 1, max: 5_000_000 }) }),
    fc.record({
      max_cost: fc.integer({ min: 1, max: 1_000_000 }).map((micros) => (micros / 1_000_000).toFixed(6)),
    }),
  )
  await fc.assert(
    fc.asyncProperty(validRequest, ceiling, async (request, limits) => {
      const quoted = await quote({ ...request, ...limits })
      const asked = { num_frames: quoted.num_frames, num_steps: quoted.num_steps }
      if (quoted.within_limits) {
        expect(quoted.largest).toBeNull()
        return
      }
      const base = { ...request, ...limits }
      expect((await api.call('POST', '/v1/videos', base)).body.error.code).toMatch(
        /^max_(tokens|cost)_too_small$/,
      )
      if (quoted.largest === null) {
        expect((await quote({ ...base, num_frames: 1, num_steps: 1 })).within_limits).toBe(false)
        return
      }
      const { size, num_frames, num_steps } = quoted.largest
      expect(num_frames).toBeLessThanOrEqual(asked.num_frames)
      expect(num_steps).toBeLessThanOrEqual(asked.num_steps)
      const fitting = await quote({ ...base, size, num_frames, num_steps })
      expect(fitting).toMatchObject({
        within_limits: true,
        cost: quoted.largest.cost,
        usage: quoted.largest.usage,
      })
      if (num_steps < asked.num_steps) {
        expect((await quote({ ...base, size, num_frames, num_steps: num_steps + 1 })).within_limits).toBe(
          false,
        )
      }
    }),
    { numRuns: 60 },
  )
})

test('settings shrink by steps first, then by frames, then to the smaller size of the same shape', async () => {
  const large = { prompt: 'rain', size: '1024x576', num_frames: 129, num_steps: 50 }
  const largest = async (max_tokens: number, more = {}) => {
    const { size, num_frames, num_steps } = (await quote({ ...large, ...more, max_tokens })).largest
    return [size, num_frames, num_steps]
  }
  // 76,032 video tokens at 129 frames
  expect(await largest(3_801_599)).toEqual(['1024x576', 129, 49])
  expect(await largest(760_320)).toEqual(['1024x576', 129, 10])
  expect(await largest(760_319)).toEqual(['1024x576', 125, 10])
  expect(await largest(2_304 * 7 * 10)).toEqual(['1024x576', 25, 10])
  // 8,316 video tokens at 336x192
  expect(await largest(2_304 * 7 * 10 - 1)).toEqual(['336x192', 129, 19])
  expect(await largest(1_500, { size: '768x768' })).toEqual(['256x256', 17, 1])
  expect((await quote({ ...large, max_tokens: 200 })).largest).toBeNull()
  expect(await largest(2_304 * 33 * 20, { size: '576x1024' })).toEqual(['576x1024', 129, 20])
})

test('a quote says whether the balance covers it', async () => {
  const poor = await api.account(83_159n)
  const affordable = async (key: string) =>
    (await callJson(api.url, key, 'POST', '/v1/videos/quote', { prompt: 'rain' })).body.affordable
  expect(await affordable(poor.key)).toBe(false)
  expect(await affordable((await api.account(83_160n)).key)).toBe(true)
  expect(await affordable(api.key)).toBe(true)
})

test('a quote forecasts the place and time that the submission gets', async () => {
  await using alone = await startTestApi()
  const request = { prompt: 'rain', num_frames: 5, num_steps: 10 }
  const ask = async (path: string) => (await alone.call('POST', path, request)).body
  expect(await ask('/v1/videos/quote')).toMatchObject({ queue_position: 1, eta_seconds: null })
  for (let video = 0; video < 3; video += 1) await ask('/v1/videos')
  await using worker = new HandWorker(alone)
  await worker.heartbeat()
  await (await worker.fetch()).report({ type: 'started' })
  // The view of the fleet is renewed each second.
  await expect.poll(async () => (await ask('/v1/videos/quote')).queue_position, { timeout: 10_000 }).toBe(3)
  const quoted = await ask('/v1/videos/quote')
  expect(quoted.eta_seconds.p50).toBeGreaterThan(0)
  expect(quoted.eta_seconds.p90).toBeGreaterThanOrEqual(quoted.eta_seconds.p50)
  const video = await ask('/v1/videos')
  expect(video.queue_position).toBe(3)
  expect(Math.abs(video.eta_seconds.p50 - quoted.eta_seconds.p50)).toBeLessThan(5)
})

test('npx sluice quote says what it would cost and what the ceiling would buy, and exits with 1 when it would not be taken', async () => {
  const main = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
  const sluice = (...args: string[]) =>
    new Promise<{ code: number; text: string }>((resolve) => {
      const env = { PATH: process.env.PATH ?? '', SLUICE_API_KEY: api.key, SLUICE_BASE_URL: `${api.url}/v1` }
      const child = execFile(process.execPath, [main, 'quote', ...args], { env }, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, text: stdout + stderr }),
      )
    })
  const fits = await sluice('a paper boat', '--tier', 'flex')
  expect(fits).toMatchObject({ code: 0 })
  expect(fits.text).toContain('animatic, 336x192, 129 frames (5.38 s), 50 steps')
  expect(fits.text).toContain('415800 tokens (8316 x 50 steps) at 0.2 x 0.5 USD per million: 0.04158 USD')
  const tooDear = await sluice('a paper boat', '--max-cost', '0.04')
  expect(tooDear).toMatchObject({ code: 1 })
  expect(tooDear.text).toContain(
    'they allow 336x192, 129 frames (5.38 s), 24 steps: 199584 tokens, 0.039917 USD',
  )
  const json = await sluice('a paper boat', '--max-tokens', '415800', '--json')
  expect(json.code).toBe(0)
  expect(JSON.parse(json.text)).toMatchObject({ object: 'video.quote', within_limits: true })
})
