import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  loadedEngine,
  servedWan,
  spawnEngineRunner,
  startEngine,
  wanClip,
  wanGeneration,
} from '../../../test/support/spawned-engine.ts'

const load: RunnerRequest = { type: 'load', model: 'wan', models: [servedWan()] }

describe('load says which setting is at fault', () => {
  test('an engine that nobody answers for', async () => {
    const { engine, runner } = await startEngine('vllm-omni')
    await engine.goAway()
    runner.send(load)
    const failed = await runner.reply('failed')
    expect(failed).toMatchObject({
      code: 'engine_away',
      message: expect.stringContaining('SLUICE_ENGINE_URL: nobody'),
    })
    expect(failed.id).toBeUndefined()
    expect(failed.message).not.toContain(engine.url)
    await engine.comeBack()
    runner.send(load)
    await runner.reply('ready')
  })

  test.each([
    [401, 'engine_away', 'the key (SLUICE_ENGINE_KEY or SLUICE_ENGINE_KEY_FILE) is refused by the engine'],
    [404, 'bad_input', 'SLUICE_ENGINE_URL: there is no list of models'],
    [308, 'engine_away', 'SLUICE_ENGINE_URL redirects'],
    [503, 'engine_away', 'the engine takes no work: GET: HTTP 503'],
  ])('an engine that answers %i', async (status, code, words) => {
    const { engine, runner } = await startEngine('vllm-omni')
    engine.refusal = () => ({ status, body: { detail: 'no' } })
    runner.send(load)
    expect(await runner.reply('failed')).toMatchObject({ code, message: expect.stringContaining(words) })
  })

  test('a model that the engine does not have, with those that it has', async () => {
    const { engine, runner } = await startEngine('sglang')
    engine.models = ['Wan-AI/Wan2.2-TI2V-5B-Diffusers']
    runner.send(load)
    expect(await runner.reply('failed')).toMatchObject({
      code: 'model_missing',
      message: expect.stringMatching(
        /model wan: the engine has no "wan"; it has Wan-AI\/Wan2.2-TI2V-5B-Diffusers: engine_model/,
      ),
    })
    runner.send({
      type: 'load',
      model: 'wan',
      models: [{ ...servedWan(), engine_model: 'Wan-AI/Wan2.2-TI2V-5B-Diffusers' }],
    })
    await runner.reply('ready')
    runner.generate('v-1', wanGeneration())
    expect((await engine.job(1)).fields.model).toBe('Wan-AI/Wan2.2-TI2V-5B-Diffusers')
  })

  test('a model whose images may stand where this engine puts none', async () => {
    const { runner } = await startEngine('sglang')
    runner.send({ type: 'load', model: 'wan', models: [servedWan({ i2v_conditions: ['head', 'tail'] })] })
    expect(await runner.reply('failed')).toMatchObject({
      code: 'model_missing',
      message: expect.stringContaining('model wan: its i2v_conditions are head, tail; sglang makes head'),
    })
  })

  test('a dialect that the models do not tell', async () => {
    const { runner } = await startEngine('openai', { SLUICE_ENGINE_DIALECT: '' })
    runner.send(load)
    expect(await runner.reply('failed')).toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining(
        'SLUICE_ENGINE_DIALECT is not set, and the models of the engine, owned by system',
      ),
    })
  })

  test('a model that no catalogue describes', async () => {
    const { runner } = await startEngine('vllm-omni')
    runner.send({ type: 'load', model: 'wan' })
    expect(await runner.reply('failed')).toMatchObject({
      message: expect.stringContaining('no catalogue says what it makes'),
    })
  })
})

test.each([
  ['without a URL', {}, 'SLUICE_ENGINE_URL is not set'],
  [
    'with a dialect that is none',
    { SLUICE_ENGINE_URL: 'http://127.0.0.1:1', SLUICE_ENGINE_DIALECT: 'dalle' },
    'SLUICE_ENGINE_DIALECT is "dalle"',
  ],
  [
    'with a key file that is not there',
    { SLUICE_ENGINE_URL: 'http://127.0.0.1:1', SLUICE_ENGINE_KEY_FILE: '/nowhere' },
    'SLUICE_ENGINE_KEY_FILE is "/nowhere"',
  ],
])('a start %s says so and exits 2', async (_, environment: Record<string, string>, words) => {
  const runner = spawnEngineRunner(environment)
  expect(await runner.exited).toBe(2)
  expect(runner.stderr).toContain(words)
})

test('a key comes from a file as well', async () => {
  const path = join(tmpdir(), `engine-key-${process.pid}`)
  onTestFinished(() => rmSync(path))
  writeFileSync(path, 'key-in-a-file\n')
  const { engine } = await loadedEngine('vllm-omni', { SLUICE_ENGINE_KEY_FILE: path })
  expect(engine.calls[0]?.authorization).toBe('Bearer key-in-a-file')
})

describe('while the engine is away', () => {
  test('a job is followed again when it is back within its time, and was not made twice', async () => {
    const { engine, runner } = await loadedEngine('vllm-omni')
    runner.generate('v-1', wanGeneration())
    const job = await engine.job(1)
    engine.begin(job)
    await runner.reply('progress', 'v-1', ({ phase }) => phase === 'denoise')
    await engine.goAway()
    const said = runner.replies.length
    await runner.until(() => (runner.replies.length > said + 1 ? true : undefined), 'two more words')
    await engine.comeBack()
    engine.complete(job, await wanClip())
    await runner.reply('finished', 'v-1')
    expect(engine.made).toBe(1)
  })

  test('for longer, the video fails as engine_away, which no video is blamed for', async () => {
    const { engine, runner } = await loadedEngine('vllm-omni', { SLUICE_ENGINE_AWAY_MS: '300' })
    runner.generate('v-1', wanGeneration())
    await engine.job(1)
    await runner.reply('checkpoint', 'v-1')
    await engine.goAway()
    expect(await runner.reply('failed', 'v-1')).toMatchObject({ code: 'engine_away', retryable: true })
    runner.generate('v-2', wanGeneration())
    expect(await runner.reply('failed', 'v-2')).toMatchObject({ code: 'engine_away', retryable: true })
  })

  test.each([429, 503])(
    'an engine that answers %i is asked again, and takes the video when it can',
    async (status) => {
      const { engine, runner } = await loadedEngine('vllm-omni')
      engine.refusal = ({ method }) => (method === 'POST' ? { status, body: { detail: 'busy' } } : null)
      runner.generate('v-1', wanGeneration())
      const asked = () => engine.calls.filter(({ method }) => method === 'POST').length
      await expect.poll(asked, { timeout: 10_000 }).toBeGreaterThan(1)
      engine.refusal = null
      engine.complete(await engine.job(1), await wanClip())
      await runner.reply('finished', 'v-1')
    },
  )

  test.each([
    [401, 'the key (SLUICE_ENGINE_KEY or SLUICE_ENGINE_KEY_FILE) is refused'],
    [402, "the engine's account of the key (SLUICE_ENGINE_KEY or SLUICE_ENGINE_KEY_FILE) cannot pay"],
    [404, 'there is no /v1/videos'],
  ])('a submission that is answered %i is no fault of the video', async (status, words) => {
    const { engine, runner } = await loadedEngine('vllm-omni', { SLUICE_ENGINE_KEY: 'the-very-key' })
    engine.refusal = ({ method }) =>
      method === 'POST' ? { status, body: { detail: 'of the-very-key' } } : null
    runner.generate('v-1', wanGeneration())
    const failed = await runner.reply('failed', 'v-1')
    expect(failed).toMatchObject({
      code: 'engine_away',
      retryable: true,
      message: expect.stringContaining(words),
    })
    expect(failed.message).not.toContain('the-very-key')
  })
})

describe('a file', () => {
  test('that breaks off is fetched again', async () => {
    const { engine, runner } = await loadedEngine('vllm-omni')
    runner.generate('v-1', wanGeneration())
    const job = await engine.job(1)
    const clip = await wanClip()
    engine.complete(job, clip.subarray(0, clip.length / 2))
    engine.refusal = ({ path }) => {
      if (path.endsWith('/content') && engine.calls.filter((call) => call.path === path).length === 2)
        job.content = clip
      return null
    }
    await runner.reply('finished', 'v-1')
  })

  test('of another size is a failure that says what came, and the job is removed', async () => {
    const { engine, runner } = await loadedEngine('vllm-omni')
    runner.generate('v-1', wanGeneration({ width: 128 }))
    engine.complete(await engine.job(1), await wanClip())
    await runner.reply('released', 'v-1')
    expect(await runner.reply('failed', 'v-1')).toMatchObject({
      code: 'bad_output',
      retryable: true,
      message: "of the engine's video: the MP4 has codec avc, size 96x64; asked codec avc, size 128x64",
    })
    expect(engine.jobs.size).toBe(0)
  })

  test('with another number of frames is a failure that says so', async () => {
    const { engine, runner } = await loadedEngine('vllm-omni')
    runner.generate('v-1', wanGeneration({ num_frames: 26 }))
    engine.complete(await engine.job(1), await wanClip())
    expect(await runner.reply('failed', 'v-1')).toMatchObject({
      code: 'bad_output',
      message: expect.stringContaining('25 frames, asked 26'),
    })
    runner.generate('v-2', wanGeneration({ num_frames: 24 }))
    engine.complete(await engine.job(2), await wanClip())
    expect(await runner.reply('failed', 'v-2')).toMatchObject({
      code: 'bad_output',
      message: expect.stringContaining('more than 24 frames'),
    })
  })
})

test.each(['yield', 'cancel'] as const)(
  'a %s is heard at once while another Sluice has no room for the video',
  async (type) => {
    const { engine, runner } = await loadedEngine('tensorrt-llm', { SLUICE_ENGINE_DIALECT: 'sluice' })
    const body = { error: { code: 'too_many_queued', message: 'no room' } }
    engine.refusal = ({ method }) => (method === 'POST' ? { status: 429, body } : null)
    runner.generate('v-1', wanGeneration())
    await expect
      .poll(() => engine.calls.some(({ method }) => method === 'POST'), { timeout: 20_000 })
      .toBe(true)
    runner.send({ type, id: 'v-1' })
    expect(await runner.reply(type === 'yield' ? 'yielded' : 'cancelled', 'v-1')).toMatchObject({ step: 0 })
    expect(engine.made).toBe(0)
  },
)

test('a yield is heard at once while it is not known whether another Sluice has the video', async () => {
  const { engine, runner } = await loadedEngine('tensorrt-llm', { SLUICE_ENGINE_DIALECT: 'sluice' })
  engine.refusal = ({ method }) => (method === 'POST' ? { status: 502, body: 'nobody there' } : null)
  runner.generate('v-1', wanGeneration())
  await expect
    .poll(() => engine.calls.some(({ method }) => method === 'POST'), { timeout: 20_000 })
    .toBe(true)
  runner.send({ type: 'yield', id: 'v-1' })
  expect(await runner.reply('yielded', 'v-1')).toMatchObject({ step: 0 })
})

test('the key is in no word, wherever an engine repeats it and however long its words are', async () => {
  const key = 'the-very-key-of-this-engine'
  const { engine, runner } = await loadedEngine('vllm-omni', { SLUICE_ENGINE_KEY: key })
  runner.generate('v-1', wanGeneration())
  engine.fail(await engine.job(1), { code: 500, message: `Bearer ${key} ${'x'.repeat(100_000)}` })
  const ofJob = await runner.reply('failed', 'v-1')
  // It would be cut in its middle.
  engine.refusal = () => ({ status: 422, body: { detail: `${'x'.repeat(490)}${key}` } })
  runner.generate('v-2', wanGeneration())
  const ofRefusal = await runner.reply('failed', 'v-2')
  for (const { message } of [ofJob, ofRefusal]) {
    expect(message).not.toContain('the-very')
    expect(message.length).toBeLessThan(2_001)
  }
  expect(runner.stderr).not.toContain('the-very')
})

test('of a refusal by a store that the engine redirects to only the status is told', async () => {
  const store = createServer((_, response) =>
    response.writeHead(403).end('<Error><AWSAccessKeyId>AKIA123</AWSAccessKeyId></Error>'),
  ).listen(0, '127.0.0.1')
  await once(store, 'listening')
  onTestFinished(() => void store.close())
  const { engine, runner } = await loadedEngine('vllm-omni', { SLUICE_ENGINE_AWAY_MS: '0' })
  engine.redirectsTo = `http://127.0.0.1:${(store.address() as AddressInfo).port}/video.mp4`
  runner.generate('v-1', wanGeneration())
  engine.complete(await engine.job(1), await wanClip())
  const { message } = await runner.reply('failed', 'v-1')
  expect(message).toContain('HTTP 403 where the engine redirects to')
  expect(message + runner.stderr).not.toContain('AKIA123')
})

test('the next video starts in the engine while one is fetched', async () => {
  const { engine, runner } = await loadedEngine('vllm-omni')
  runner.generate('v-1', wanGeneration())
  engine.complete(await engine.job(1), await wanClip())
  await runner.reply('released', 'v-1')
  runner.generate('v-2', wanGeneration())
  engine.complete(await engine.job(2), await wanClip())
  await Promise.all([runner.reply('finished', 'v-1'), runner.reply('finished', 'v-2')])
})
