import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import {
  type DrivenEngine,
  driveEngine,
  loadedEngine,
  loadWan,
  servedWan,
  startEngine,
  wanClip,
  wanGeneration,
} from '../../../test/support/spawned-engine.ts'
import type { StandInDialect } from '../../../test/support/stand-in-engine.ts'

const DIALECTS: readonly StandInDialect[] = ['vllm-omni', 'sglang', 'tensorrt-llm']

/** What each engine is asked for `wanGeneration`: the size, length, steps and seed that were paid for. */
const ASKED = {
  prompt: 'a paper boat in the rain',
  model: 'wan',
  size: '96x64',
  num_frames: 25,
  fps: 24,
  num_inference_steps: 20,
  guidance_scale: 7.5,
  seed: 42,
}

async function imageFile(): Promise<string> {
  const path = join(tmpdir(), `engine-image-${process.pid}.png`)
  onTestFinished(() => rmSync(path, { force: true }))
  writeFileSync(
    path,
    await sharp({ create: { width: 96, height: 64, channels: 3, background: 'red' } })
      .png()
      .toBuffer(),
  )
  return path
}

describe.each(DIALECTS)('%s', (dialect) => {
  const key = 'a-key-of-the-engine'
  let driven: DrivenEngine
  beforeAll(async () => {
    driven = await driveEngine(dialect, { SLUICE_ENGINE_KEY: key })
    await loadWan(driven)
  })
  afterAll(() => driven?.stop())

  test('is recognised by its models, and asked for exactly the size, length, steps and seed that were paid for', async () => {
    const { engine, runner, submit } = driven
    expect(await runner.reply('ready')).toMatchObject({
      device: dialect,
      models: ['wan'],
      modes: ['t2v', 'i2v'],
      limits: { frames_max: 121, pixels_max: 1280 * 704 },
      switches_at_once: true,
    })
    const { job, folder } = await submit('a-1', wanGeneration({ negative_prompt: 'text' }))
    const { format, ...fields } = job.fields
    expect(fields).toEqual({ ...ASKED, negative_prompt: 'text' })
    expect(format).toBe(dialect === 'tensorrt-llm' ? 'mp4' : undefined)
    expect(await runner.reply('checkpoint', 'a-1')).toMatchObject({ step: 1 })
    engine.begin(job, 50)
    await runner.reply('progress', 'a-1', ({ phase }) => phase === 'denoise')
    engine.complete(job, await wanClip())
    await runner.reply('released', 'a-1')
    const { files, ...finished } = await runner.reply('finished', 'a-1')
    expect(finished).toMatchObject({ seed: 42, tokens: 7 * 2 * 3 * 20 })
    expect(readFileSync(files.video).equals(await wanClip())).toBe(true)
    const [thumbnail, spritesheet] = await Promise.all(
      [files.thumbnail, files.spritesheet].map((path) => sharp(path).metadata()),
    )
    expect(thumbnail).toMatchObject({ width: 96, height: 64, format: 'webp' })
    expect(spritesheet).toMatchObject({ width: 288, height: 256, format: 'jpeg' })
    expect(engine.jobs.has(job.id)).toBe(true)
    rmSync(folder, { recursive: true })
    await eventually(
      async () => engine.jobs.has(job.id),
      (isThere) => !isThere,
    )
    expect(new Set(engine.calls.map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${key}`]),
    )
    expect(runner.stderr).not.toContain(key)
  })

  test('is sent an image as the first frame; one for another place is refused before anything is asked', async () => {
    const { engine, runner } = driven
    const path = await imageFile()
    const count = engine.made + 1
    const i2v = (condition: 'head' | 'tail') => wanGeneration({ mode: 'i2v', i2v_condition: condition })
    runner.generate('b-1', i2v('head'), undefined, [{ position: 'head', path }])
    const sent = (await engine.job(count)).fields.input_reference
    const bytes = sent instanceof File ? Buffer.from(await sent.bytes()) : Buffer.from(String(sent), 'base64')
    expect(bytes.equals(readFileSync(path))).toBe(true)
    runner.send({ type: 'cancel', id: 'b-1' })
    await runner.reply('cancelled', 'b-1')
    runner.generate('b-2', i2v('tail'), undefined, [{ position: 'tail', path }])
    expect(await runner.reply('failed', 'b-2')).toMatchObject({
      code: 'bad_input',
      retryable: false,
      message: expect.stringContaining('i2v_condition is tail; allowed is head'),
    })
    expect(engine.made).toBe(count)
  })

  test('a job that fails is a failure with its words: the input, the memory, or anything else', async () => {
    const { engine, runner, submit } = driven
    const errorOf = (code: number, message: string) =>
      dialect === 'tensorrt-llm' ? message : { code, message }
    const failWith = async (id: string, error: unknown) => {
      engine.fail((await submit(id)).job, error)
      return runner.reply('failed', id)
    }
    expect(await failWith('c-1', errorOf(500, 'CUDA out of memory. Tried to allocate'))).toMatchObject({
      code: 'out_of_memory',
      retryable: true,
    })
    expect(await failWith('c-2', errorOf(500, 'a kernel broke'))).toMatchObject({
      code: 'internal',
      retryable: true,
      message: expect.stringContaining('a kernel broke'),
    })
    // TensorRT-LLM judges the input before it makes a job, and gives errors no code.
    const ofInput = dialect === 'tensorrt-llm' ? 'internal' : 'bad_input'
    expect(await failWith('c-3', errorOf(422, 'too large'))).toMatchObject({ code: ofInput })
  })

  test('a request that it refuses is bad input in its words, and not tried again', async () => {
    const { engine, runner } = driven
    const body = { detail: [{ loc: ['body', 'size'], msg: 'too large' }] }
    engine.refusal = ({ method }) => (method === 'POST' ? { status: 422, body } : null)
    const before = engine.calls.filter(({ method }) => method === 'POST').length
    runner.generate('d-1', wanGeneration())
    expect(await runner.reply('failed', 'd-1')).toMatchObject({
      code: 'bad_input',
      retryable: false,
      message: 'the engine refuses the video: size: too large',
    })
    expect(engine.calls.filter(({ method }) => method === 'POST')).toHaveLength(before + 1)
    engine.refusal = null
  })

  test('a cancel reaches it', async () => {
    const { engine, runner, submit } = driven
    const { job } = await submit('e-1')
    engine.begin(job)
    await runner.reply('progress', 'e-1', ({ phase }) => phase === 'denoise')
    runner.send({ type: 'cancel', id: 'e-1' })
    await runner.reply('cancelled', 'e-1')
    expect(engine.calls.at(-1)).toMatchObject({ method: 'DELETE', path: `/v1/videos/${job.id}` })
    expect(engine.jobs.has(job.id)).toBe(false)
  })

  test('a job that makes another size is stopped at once, and the failure says both', async () => {
    const { engine, runner } = driven
    engine.sizeMade = '128x64'
    runner.generate('f-1', wanGeneration())
    expect(await runner.reply('failed', 'f-1')).toMatchObject({
      code: 'bad_output',
      message: 'the engine makes 128x64 of size 96x64, which was asked',
    })
    expect(engine.calls.at(-1)).toMatchObject({ method: 'DELETE', path: `/v1/videos/video_${engine.made}` })
    engine.sizeMade = null
  })
})

test('SGLang says how far it is, and steps are counted by it; the last one only when the job is over', async () => {
  const { engine, runner } = await loadedEngine('sglang')
  runner.generate('v-1', wanGeneration())
  const job = await engine.job(1)
  engine.begin(job, 45)
  await runner.reply(
    'progress',
    'v-1',
    ({ phase, step, steps }) => phase === 'denoise' && step === 9 && steps === 20,
  )
  engine.begin(job, 100)
  await runner.reply('progress', 'v-1', ({ step }) => step === 19)
  expect(runner.replies.some((reply) => reply.type === 'progress' && reply.remaining_ms !== undefined)).toBe(
    false,
  )
})

test.each(['vllm-omni', 'tensorrt-llm'] as const)(
  '%s does not say how far it is: the time that remains is estimated by the last job, and no step is made up',
  async (dialect) => {
    const { engine, runner } = await loadedEngine(dialect)
    const saidOf = (id: string) =>
      runner.replies.filter(
        (reply) => reply.type === 'progress' && reply.id === id && reply.phase === 'denoise',
      )
    runner.generate('v-1', wanGeneration())
    const first = await engine.job(1)
    engine.begin(first)
    await runner.reply('progress', 'v-1', ({ phase }) => phase === 'denoise')
    await runner.until(() => (saidOf('v-1').length > 4 ? true : undefined), 'five words')
    for (const said of saidOf('v-1'))
      expect(said).toEqual({ type: 'progress', id: 'v-1', phase: 'denoise', step: 1, steps: 20 })
    engine.complete(first, await wanClip())
    await runner.reply('finished', 'v-1')
    runner.generate('v-2', wanGeneration())
    engine.begin(await engine.job(2))
    await runner.reply('progress', 'v-2', ({ phase }) => phase === 'denoise')
    expect(saidOf('v-2')[0]).toMatchObject({ step: 1, remaining_ms: expect.any(Number) })
  },
)

test('a job that is never seen at work took the time since it was submitted', async () => {
  const { engine, runner, submit } = await loadedEngine('tensorrt-llm')
  const { job } = await submit('v-1')
  const looks = () => engine.calls.filter(({ path }) => path.endsWith(job.id)).length
  await expect.poll(looks, { timeout: 20_000 }).toBeGreaterThan(2)
  engine.complete(job, await wanClip())
  // Two looks are 200 ms apart.
  expect((await runner.reply('finished', 'v-1')).timings.denoise).toBeGreaterThan(0.3)
})

test('the OpenAI API is asked for whole seconds; what it cannot be told is refused before it is asked', async () => {
  const { engine, runner } = await loadedEngine('openai')
  runner.generate('v-1', wanGeneration({ num_frames: 96 }))
  const job = await engine.job(1)
  expect(job.fields).toEqual({ prompt: ASKED.prompt, model: 'wan', size: '96x64', seconds: '4' })
  engine.begin(job, 30)
  await runner.reply('progress', 'v-1', ({ step }) => step === 6)
  runner.send({ type: 'cancel', id: 'v-1' })
  await runner.reply('cancelled', 'v-1')
  runner.generate('v-2', wanGeneration({ num_frames: 25 }))
  expect(await runner.reply('failed', 'v-2')).toMatchObject({
    code: 'bad_input',
    message: expect.stringContaining('num_frames is 25; allowed is a multiple of 24'),
  })
  runner.generate('v-3', wanGeneration({ num_frames: 96, negative_prompt: 'text' }))
  expect(await runner.reply('failed', 'v-3')).toMatchObject({
    message: expect.stringContaining('negative_prompt'),
  })
  expect(engine.made).toBe(1)
})

test('a model with sound asks vLLM-Omni for it', async () => {
  const { engine, runner } = await startEngine('vllm-omni')
  runner.send({ type: 'load', model: 'wan', models: [servedWan({ sound: true })] })
  await runner.reply('ready')
  runner.generate('v-1', wanGeneration())
  expect((await engine.job(1)).fields.generate_sound).toBe('true')
})

test('what the model does not make is refused before the engine is asked', async () => {
  const { engine, runner } = await loadedEngine('vllm-omni')
  runner.generate('v-1', wanGeneration({ num_frames: 122 }))
  expect(await runner.reply('failed', 'v-1')).toMatchObject({
    code: 'bad_input',
    message: expect.stringContaining('num_frames is 122'),
  })
  expect(engine.made).toBe(0)
})
