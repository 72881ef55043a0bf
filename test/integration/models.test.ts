import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseCatalogue } from '@sluice/shared/catalogue-file'
import { makesFrames } from '@sluice/shared/models/frame-rule'
import type { Model } from '@sluice/shared/models/model'
import { findSize, formatSize, pixelsMax } from '@sluice/shared/models/sizes'
import { costMicros, parseMicros } from '@sluice/shared/money'
import { generatedTokens } from '@sluice/shared/token-count'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

/** Every built-in model, and one that the file describes whole: distilled, 8k frames, sizes by a rule. */
const catalogue = parseCatalogue(
  'models.json',
  JSON.stringify({
    models: [
      ...[
        'wan-2.2-5b',
        'wan-2.1-1.3b',
        'ltx-video',
        'hunyuan-video',
        'hunyuan-video-i2v',
        'cogvideox-5b',
        'mochi-1',
      ].map((id) => ({ id })),
      {
        id: 'clouds-1',
        description: 'Clouds',
        licence: { name: 'Clouds 1.0', text: 'Not for sale.', commercial: 'no', forbidden_in: ['EU'] },
        modes: ['t2v'],
        resolutions: ['small', 'middle', 'large'],
        size_rule: {
          multiple: 16,
          side_min: 64,
          side_max: 1280,
          classes: {
            small: { pixels_min: 4_096, pixels_max: 131_072 },
            middle: { pixels_min: 131_073, pixels_max: 409_600 },
            large: { pixels_min: 409_601, pixels_max: 921_600 },
          },
        },
        frames: { multiple: 8, remainder: 0, min: 8, max: 240, default: 120 },
        fps: 30,
        steps: { min: 8, max: 8, default: 8 },
        sound: true,
        tokens: { temporal: 8, spatial: 32, patch: [1, 1, 1] },
        prices: { small: '0.05', middle: '0.07', large: '0.1' },
      },
    ],
  }),
)

let api: TestApi
beforeAll(async () => {
  api = await startTestApi({ catalogue })
})
afterAll(() => api.stop())

const picture = await quadrants(64, 36).png().toBuffer()
/** What a request of a model must have besides: an image, where it makes videos from one alone. */
const neededBy = ({ modes }: { modes: readonly string[] }) =>
  modes.includes('t2v') ? {} : { input_reference: `data:image/png;base64,${picture.toString('base64')}` }

const post = (body: object) => api.call('POST', '/v1/videos', { prompt: 'rain', ...body })
const quote = async (body: object) =>
  (await api.call('POST', '/v1/videos/quote', { prompt: 'rain', ...body })).body

test('a model’s list entry says all that a request of it may say: its defaults and bounds are taken, what is beyond is not', async () => {
  const { data } = (await api.call('GET', '/v1/models')).body
  const own = data.filter((model: { alias_of?: string }) => model.alias_of === undefined)
  expect(own.map(({ id }: { id: string }) => id)).toEqual(catalogue.models.map(({ id }) => id))
  for (const model of own) {
    const told = { model: model.id, ...neededBy(model) }
    expect(await quote(told)).toMatchObject({
      num_frames: model.frames.default,
      num_steps: model.steps.default,
      seconds: model.seconds.default,
    })
    for (const size of model.sizes) expect(await quote({ ...told, size })).toMatchObject({ size })
    for (const [asked, made] of Object.entries(model.openai_sizes))
      expect((await quote({ ...told, size: asked })).size).toBe(made)
    expect(Object.keys(model.openai_sizes)).toHaveLength(4)
    const { min, max, multiple } = model.frames
    for (const num_frames of [min, max])
      expect(await quote({ ...told, num_frames })).toMatchObject({ num_frames })
    for (const num_frames of [min - multiple, max + multiple])
      expect((await quote({ ...told, num_frames })).error.param).toBe('num_frames')
    for (const name of ['guidance', 'guidance_img', 'motion_score'] as const) {
      const range = model[name]
      const given = range === null ? [1] : [range.min - 1, range.max + 1]
      for (const value of given) expect((await quote({ ...told, [name]: value })).error.param).toBe(name)
      if (range === null) continue
      for (const value of [range.min, range.max])
        expect((await quote({ ...told, [name]: value })).error).toBeUndefined()
    }
    expect(model.modes.includes('i2v')).toBe(model.i2v_conditions.length > 0)
    for (const { price } of model.resolutions) expect(price).toMatchObject({ currency: 'USD' })
  }
})

test('a model is listed with all that is known of it', async () => {
  expect((await api.call('GET', '/v1/models/wan-2.2-5b')).body).toEqual({
    id: 'wan-2.2-5b',
    object: 'model',
    created: expect.any(Number),
    owned_by: 'wan-ai',
    description: expect.stringContaining('Wan 2.2 TI2V-5B'),
    licence: expect.stringContaining('Apache-2.0'),
    licence_terms: { name: 'Apache-2.0', commercial: 'yes', forbidden_in: [] },
    base: null,
    is_default: false,
    is_available: false,
    modes: ['t2v', 'i2v'],
    i2v_conditions: ['head'],
    sizes: ['832x480', '480x832', '640x640', '1280x704', '704x1280', '960x960'],
    size_rule: { multiple: 32, side_min: 256, side_max: 1_280 },
    resolutions: [
      {
        name: '480p',
        sizes: ['832x480', '480x832', '640x640'],
        pixels_min: 65_536,
        pixels_max: 409_600,
        price: { per_million: '0.1', currency: 'USD' },
      },
      {
        name: '720p',
        sizes: ['1280x704', '704x1280', '960x960'],
        pixels_min: 409_601,
        pixels_max: 921_600,
        price: { per_million: '0.14', currency: 'USD' },
      },
    ],
    openai_sizes: {
      '1280x720': '1280x704',
      '720x1280': '704x1280',
      '1792x1024': '1280x704',
      '1024x1792': '704x1280',
    },
    frames: { min: 5, max: 121, fps: 24, multiple: 4, remainder: 1, default: 121 },
    seconds: { min: '0.20833333333333334', max: '5.041666666666667', default: '5.041666666666667' },
    steps: { min: 1, max: 100, default: 50 },
    guidance: { min: 0, max: 20, default: 5 },
    guidance_img: null,
    motion_score: null,
    negative_prompt: true,
    sound: false,
    tokens: { temporal: 4, spatial: 16, patch: [1, 2, 2] },
  })
})

/** Sizes by a rule or of a list, lengths by the rule: what each model makes. */
const requestOf = (model: Model) =>
  fc.record({
    model: fc.constant(model.id),
    size:
      model.sizeRule === null
        ? fc.constantFrom(...model.sizes.map(formatSize))
        : fc
            .tuple(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 2, max: 40 }))
            .map(([w, h]) => `${w * (model.sizeRule?.multiple ?? 1)}x${h * (model.sizeRule?.multiple ?? 1)}`)
            .filter((size) => findSize(model, size) !== undefined),
    num_frames: fc
      .integer({ min: model.frames.min, max: model.frames.max })
      .filter((n) => makesFrames(model.frames, n)),
    num_steps: fc.integer({ min: model.steps.min, max: model.steps.max }),
  })

test('a quote is what is held and, once made, charged, to the micro-unit: tokens by the model’s rule, price by its class', async () => {
  await using worker = new HandWorker(api, { pool: 'all-models' })
  const offer = {
    models: catalogue.models.map(({ id }) => id),
    limits: { frames_max: 300, pixels_max: Math.max(...catalogue.models.map(pixelsMax)) },
  }
  await worker.heartbeat([], offer)
  for (const model of catalogue.models) {
    const [request] = fc.sample(requestOf(model), 1)
    if (request === undefined) throw new Error('no request')
    const quoted = await quote({ ...request, ...neededBy(model) })
    const video = (await post({ ...request, ...neededBy(model) })).body
    expect(video).toMatchObject({ ...request, cost: { ...quoted.cost, state: 'held' } })
    const size = findSize(model, request.size)
    if (size === undefined) throw new Error('no size')
    const tokens = generatedTokens(model.tokens, { ...size, frames: request.num_frames }, request.num_steps)
    const price = model.firstPriceMicros[size.resolution] ?? 0n
    expect(Number(tokens)).toBe(video.usage.generated_tokens)
    expect(parseMicros(quoted.cost.amount)).toBe(costMicros(tokens, price, 10_000n))
    const attempt = await worker.fetch()
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    await worker.heartbeat([], offer)
    expect((await api.call('GET', `/v1/videos/${video.id}`)).body).toMatchObject({
      status: 'completed',
      cost: { ...quoted.cost, state: 'charged' },
      usage: video.usage,
    })
  }
  await worker.heartbeat([], { ...offer, draining: true })
})

const BAD: [string, object, string, RegExp][] = [
  [
    'a size against the rule',
    { model: 'wan-2.2-5b', size: '1000x560' },
    'size',
    /size is "1000x560": allowed is 832x480, 1280x704, 1280x720, 720x1280, 1792x1024, 1024x1792, or any whose sides are multiples of 32 from 256 to 1280, with 65536 to 921600 pixels/,
  ],
  ['too many pixels', { model: 'wan-2.2-5b', size: '1280x1280' }, 'size', /with 65536 to 921600 pixels/],
  [
    'a size that is not in the table',
    { model: 'mochi-1', size: '832x480' },
    'size',
    /allowed is 848x480, .* any of the 1 that GET \/v1\/models\/mochi-1 lists/,
  ],
  [
    'Open-Sora’s size of another model',
    { model: 'cogvideox-5b', size: '336x192' },
    'size',
    /allowed is 720x480/,
  ],
  [
    'frames against 8k+1',
    { model: 'ltx-video', num_frames: 125 },
    'num_frames',
    /allowed is 8k\+1 from 9 to 257, such as 129/,
  ],
  [
    'frames against 6k+1',
    { model: 'mochi-1', num_frames: 129 },
    'num_frames',
    /allowed is 6k\+1 from 7 to 163, such as 127/,
  ],
  [
    'frames against 8k',
    { model: 'clouds-1', num_frames: 121 },
    'num_frames',
    /allowed is 8k from 8 to 240, such as 120/,
  ],
  ['too long', { model: 'wan-2.2-5b', num_frames: 125 }, 'num_frames', /allowed is 4k\+1 from 5 to 121/],
  [
    'too many seconds',
    { model: 'wan-2.1-1.3b', seconds: '8' },
    'seconds',
    /allowed is a whole number from 1 to 5, or an exact length of 4k\+1 frames up to 5\.0625/,
  ],
  [
    'steps of a distilled model',
    { model: 'clouds-1', num_steps: 50 },
    'num_steps',
    /allowed is 8 alone with model clouds-1/,
  ],
  [
    'too many steps',
    { model: 'wan-2.2-5b', num_steps: 101 },
    'num_steps',
    /allowed is 1 to 100 with model wan-2.2-5b/,
  ],
  [
    'guidance without any',
    { model: 'clouds-1', guidance: 5 },
    'guidance',
    /allowed is none, since model clouds-1 takes no guidance/,
  ],
  [
    'guidance beyond its range',
    { model: 'wan-2.2-5b', guidance: 25 },
    'guidance',
    /allowed is 0 to 20 with model wan-2.2-5b/,
  ],
  [
    'guidance_img without any',
    { model: 'wan-2.2-5b', guidance_img: 3 },
    'guidance_img',
    /takes no guidance_img/,
  ],
  [
    'motion_score without any',
    { model: 'ltx-video', motion_score: 4 },
    'motion_score',
    /takes no motion_score/,
  ],
  [
    'a negative prompt without any',
    { model: 'hunyuan-video', negative_prompt: 'text' },
    'negative_prompt',
    /takes no negative_prompt/,
  ],
  [
    'a mode that it has not',
    { model: 'mochi-1', mode: 't2i2v' },
    'mode',
    /allowed is t2v with model mochi-1/,
  ],
  [
    'an image for a model without',
    { model: 'wan-2.1-1.3b', input_reference: 'https://example.com/a.png' },
    'mode',
    /allowed is t2v with model wan-2.1-1.3b/,
  ],
  [
    'an image where it cannot stand',
    { model: 'wan-2.2-5b', input_reference: 'https://example.com/a.png', i2v_condition: 'loop' },
    'i2v_condition',
    /i2v_condition is "loop": allowed is head with model wan-2.2-5b/,
  ],
]

test.each(BAD)(
  '%s is refused by what this model can make, and leaves nothing held, stored or queued',
  async (_title, request, param, says) => {
    const before = await footprint(api)
    const answer = await post(request)
    expect(answer.status).toBe(400)
    expect(answer.body.error).toMatchObject({ code: 'invalid_value', param })
    expect(answer.body.error.message).toMatch(says)
    expect(await footprint(api)).toEqual(before)
  },
)

test.each([
  ['wan-2.2-5b', '4', 97],
  ['wan-2.2-5b', 5, 121],
  ['wan-2.1-1.3b', '4', 65],
  ['ltx-video', '4', 97],
  ['ltx-video', '8', 193],
  ['cogvideox-5b', '4', 33],
  ['mochi-1', '4', 121],
  ['clouds-1', '4', 120],
  // Exact lengths mean exactly those frames.
  ['mochi-1', 121 / 30, 121],
  ['clouds-1', '0.8', 24],
])(
  '%s makes of %s seconds the fewest frames of its rule that last so long: %i',
  async (model, seconds, frames) => {
    const quoted = await quote({ model, seconds })
    expect(quoted.num_frames).toBe(frames)
    expect(Number(quoted.seconds)).toBeGreaterThanOrEqual(Number(seconds) - 1e-9)
  },
)

test('a price that the operator sets for a class of a model is that of its next videos, and is in the audit', async () => {
  const operator = operatorOf(api)
  const set = { model: 'wan-2.2-5b', resolution: '720p', per_million: '0.123457' }
  expect((await operator.call('POST', '/v1/admin/prices', set)).body).toMatchObject({
    ...set,
    in_force: true,
  })
  const request = { model: 'wan-2.2-5b', size: '1280x704', num_frames: 5, num_steps: 3 }
  // 2 x 22 x 40 tokens by 3 steps; 0.000651852 and so much more is rounded up.
  expect(await quote(request)).toMatchObject({
    usage: { video_tokens: 1_760, generated_tokens: 5_280 },
    price: { per_million_tokens: '0.123457' },
    cost: { amount: '0.000652' },
  })
  expect(await quote({ ...request, size: '832x480' })).toMatchObject({ price: { per_million_tokens: '0.1' } })
  const { resolutions } = (await api.call('GET', '/v1/models/wan-2.2-5b')).body
  expect(resolutions[1].price).toEqual({ per_million: '0.123457', currency: 'USD' })
  const [change] = (await operator.call('GET', '/v1/admin/audit?limit=1')).body.data
  expect(change).toMatchObject({ action: 'price.set', subject: 'wan-2.2-5b 720p' })
  for (const resolution of ['256px', '1080p', "'; drop table price"]) {
    const refused = (await operator.call('POST', '/v1/admin/prices', { ...set, resolution })).body.error
    expect(refused).toMatchObject({ code: 'invalid_value', param: 'resolution' })
    expect(refused.message).toContain('allowed is 480p, 720p with model wan-2.2-5b')
  }
})

test('the largest that a ceiling allows goes down through all classes of the model, by its own frame rule and steps', async () => {
  const large = { model: 'clouds-1', size: '1280x720', num_frames: 240 }
  const largest = async (max_tokens: number) => {
    const { size, num_frames, num_steps } = (await quote({ ...large, max_tokens })).largest
    return [size, num_frames, num_steps]
  }
  // 31 latent frames of 23 x 40, 8 steps.
  expect((await quote(large)).usage.generated_tokens).toBe(228_160)
  expect(await largest(228_159)).toEqual(['1280x720', 232, 8])
  // Less than the 32 frames (five latent ones) of the large class, which are the fewest above a second.
  expect(await largest(5 * 23 * 40 * 8 - 1)).toEqual(['848x480', 80, 8])
  // And less than those of the middle class, of 15 x 27.
  expect(await largest(5 * 15 * 27 * 8 - 1)).toEqual(['448x256', 136, 8])
  expect((await quote({ ...large, max_tokens: 8 })).largest).toBeNull()
})

test('a remix and a retry of a model without guidance ask for what the first had', async () => {
  const first = (await post({ model: 'clouds-1', size: '640x352', num_frames: 8 })).body
  expect(first).toMatchObject({ guidance: null, guidance_img: null, motion_score: null, negative_prompt: '' })
  const same = { model: 'clouds-1', size: '640x352', num_frames: 8, num_steps: 8, guidance: null }
  expect((await api.call('POST', `/v1/videos/${first.id}/remix`, { prompt: 'snow' })).body).toMatchObject(
    same,
  )
  await api.call('POST', `/v1/videos/${first.id}/cancel`)
  expect((await api.call('POST', `/v1/videos/${first.id}/retry`)).body).toMatchObject(same)
})

test('npx sluice models prints what each model makes, costs and allows', async () => {
  const main = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
  const env = { PATH: process.env.PATH ?? '', SLUICE_API_KEY: api.key, SLUICE_BASE_URL: `${api.url}/v1` }
  const print = (...args: string[]) =>
    new Promise<string>((resolve, reject) => {
      execFile(process.execPath, [main, 'models', ...args], { env }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      )
    })
  const text = await print()
  expect(text).toContain('animatic (the default')
  expect(text).toContain(`: Clouds
  modes t2v; with sound
  small, 0.05 USD per million tokens: 448x256, 256x448, 352x352
  middle, 0.07 USD per million tokens: 848x480, 480x848, 640x640
  large, 0.1 USD per million tokens: 1280x720, 720x1280, 960x960
  any size whose sides are multiples of 16 from 64 to 1280, within its class
  8k frames from 8 to 240 at 30 a second, up to 8.00 s (default 120)
  steps 8
  licence Clouds 1.0: what it makes may not be sold, not in EU
`)
  expect(JSON.parse(await print('--json')).map(({ id }: { id: string }) => id)).toContain('wan-2.2-5b')
})
