import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Generation } from '@sluice/shared/generation'
import { generatedTokens } from '@sluice/shared/token-count'
import { BufferSource, Input, MP4 } from 'mediabunny'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { farthest, quadrantMeans, quadrants } from '../../../test/support/images.ts'
import { readMp4Facts } from '../../../test/support/mp4-facts.ts'
import { MAIN, SpawnedRunner, someGeneration } from '../../../test/support/spawned-animatic.ts'
import { frameAt } from '../../../test/support/video-frame.ts'

const running: SpawnedRunner[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((runner) => runner.close()))
})

async function start(environment: Record<string, string> = {}): Promise<SpawnedRunner> {
  const runner = new SpawnedRunner(environment)
  running.push(runner)
  await runner.load()
  return runner
}

async function makeVideo(
  runner: SpawnedRunner,
  id: string,
  request: Generation,
  resume?: { step: number; path: string },
): Promise<Buffer> {
  runner.generate(id, request, resume)
  const { files } = await runner.reply('finished', id)
  return readFileSync(files.video)
}

describe('the film', () => {
  test.each([
    [336, 192, 129, 24],
    [160, 384, 33, 24],
    [1184, 496, 5, 24],
    [192, 336, 1, 24],
    [96, 64, 25, 30],
  ])(
    'is exactly %i x %i, %i frames at %i a second, in H.264 of limited range that streams',
    async (width, height, num_frames, fps) => {
      const runner = await start()
      const request = someGeneration({ width, height, num_frames, fps })
      const workdir = runner.generate('v', request)
      const finished = await runner.reply('finished', 'v')
      expect(finished.files).toEqual({
        video: join(workdir, 'video.mp4'),
        thumbnail: join(workdir, 'thumbnail.webp'),
        spritesheet: join(workdir, 'spritesheet.jpg'),
      })
      const video = readFileSync(finished.files.video)
      expect(readMp4Facts(video)).toEqual({
        boxes: ['ftyp', 'moov', expect.stringMatching(/mdat|free/), ...readMp4Facts(video).boxes.slice(3)],
        width,
        height,
        samples: num_frames,
        timedSamples: num_frames,
        sampleSeconds: num_frames / fps,
        movieSeconds: expect.closeTo(num_frames / fps, 3),
        durations: [1 / fps],
        created: [0, 0, 0, 0, 0, 0],
        profile: 100,
        fullRange: false,
      })
      const input = new Input({ source: new BufferSource(video), formats: [MP4] })
      expect(await input.computeDuration()).toBeCloseTo(num_frames / fps, 9)
      const thumbnail = await sharp(finished.files.thumbnail).metadata()
      expect([thumbnail.format, thumbnail.width, thumbnail.height]).toEqual(['webp', width, height])
      expect((await sharp(finished.files.spritesheet).metadata()).format).toBe('jpeg')
      expect(finished.tokens).toBe(Number(generatedTokens({ width, height, frames: num_frames }, 8)))
      expect(finished.seed).toBe(42)
    },
  )

  test('is the same bytes for the same request, and another picture for another seed or prompt', async () => {
    const [one, two] = [await start(), await start()]
    const first = await makeVideo(one, 'a', someGeneration())
    expect((await makeVideo(two, 'b', someGeneration())).equals(first)).toBe(true)
    expect((await makeVideo(two, 'c', someGeneration({ seed: 43 }))).equals(first)).toBe(false)
    expect(
      (await makeVideo(two, 'd', someGeneration({ prompt: 'a paper boat in the snow' }))).equals(first),
    ).toBe(false)
  })

  test.each([
    ['quotes and a backslash', '"1984" said \'Winston\' \\n `rm`; $(id)'],
    ['newlines, tabs and U+2028', 'one\r\ntwo\n\n\tthree\u2028four\u2029five'],
    ['emoji alone', '👩‍👩‍👧‍👦🚤🇨🇳 ☀️ 5️⃣'],
    ['4000 characters', 'wide open sea, '.repeat(267).slice(0, 4000)],
    ['4000 characters of one word', 'x'.repeat(4000)],
    ['4000 Chinese characters', '纸船漂过运河'.repeat(667).slice(0, 4000)],
    ['right to left', 'مرحبا بالعالم שלום עולם \u202eabc\u202c'],
    ['zero width only', '\u200b\u200c\u200d\ufeff\u2060'],
    ['nothing', ''],
    ['combining marks', `Z${'\u0301\u0323'.repeat(500)}algo`],
    ['private and unassigned characters', '\ue000\u{f0000}\u{10fffd}\u0378'],
  ])('is made for a prompt of %s', async (_, prompt) => {
    const runner = await start()
    const video = await makeVideo(
      runner,
      'v',
      someGeneration({ prompt, width: 160, height: 384, num_frames: 1, num_steps: 1 }),
    )
    expect(readMp4Facts(video).samples).toBe(1)
  })
})

describe('steps', () => {
  test('each step is told once, in order, and released comes before the film is drawn', async () => {
    const runner = await start()
    await makeVideo(runner, 'v', someGeneration({ num_steps: 12 }))
    const told = runner.replies.filter((reply) => reply.type === 'progress' && reply.phase === 'denoise')
    expect(told.map((reply) => reply.type === 'progress' && reply.step)).toEqual(
      Array.from({ length: 12 }, (_, index) => index + 1),
    )
    const kinds = runner.replies.map((reply) => (reply.type === 'progress' ? reply.phase : reply.type))
    expect([...new Set(kinds)]).toEqual([
      'ready',
      'started',
      'encode',
      'denoise',
      'released',
      'decode',
      'mux',
      'finished',
    ])
  })

  test('the next video runs its steps while the former is drawn and encoded', async () => {
    const runner = await start()
    runner.generate('former', someGeneration({ width: 336, height: 192, num_frames: 65 }))
    await runner.reply('released', 'former')
    runner.generate('next', someGeneration())
    await runner.reply('finished', 'former')
    await runner.reply('finished', 'next')
    const place = (type: string, id: string): number =>
      runner.replies.findIndex((reply) => reply.type === type && 'id' in reply && reply.id === id)
    expect(place('released', 'next')).toBeGreaterThan(place('released', 'former'))
    expect(place('released', 'next')).toBeLessThan(place('finished', 'former'))
  })

  test('many videos sent back to back all finish, each in its own folder', async () => {
    const runner = await start()
    for (let index = 0; index < 8; index++) {
      runner.generate(`v${index}`, someGeneration({ seed: index }))
      await runner.reply('released', `v${index}`)
    }
    for (let index = 0; index < 8; index++) await runner.reply('finished', `v${index}`)
  })

  test('a second generate while one denoises is refused, and the first is not disturbed', async () => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: '20' })
    runner.generate('first', someGeneration())
    await runner.reply('started', 'first')
    runner.generate('second', someGeneration())
    expect(await runner.reply('failed', 'second')).toMatchObject({ code: 'bad_input', retryable: false })
    await runner.reply('finished', 'first')
  })

  test('a film that cannot be written fails as internal and retryable, and the runner makes the next one', async () => {
    const runner = await start()
    runner.send({
      type: 'generate',
      id: 'nowhere',
      request: someGeneration(),
      workdir: '/nonexistent/folder',
    })
    expect(await runner.reply('failed', 'nowhere')).toMatchObject({ code: 'internal', retryable: true })
    await makeVideo(runner, 'v', someGeneration())
  })
})

describe('checkpoint and resume', () => {
  test.each([1, 4, 7])(
    'a video yielded after step %i and resumed elsewhere is the same bytes as one that ran through',
    async (step) => {
      const request = someGeneration()
      const straight = await makeVideo(await start(), 'straight', request)
      const first = await start({ SLUICE_ANIMATIC_STEP_MS: '30' })
      first.generate('v', request)
      await first.reply('progress', 'v', (reply) => reply.phase === 'denoise' && reply.step === step)
      first.send({ type: 'yield', id: 'v' })
      const yielded = await first.reply('yielded', 'v')
      expect(yielded.step).toBeGreaterThanOrEqual(step)
      expect(yielded.step).toBeLessThan(8)
      const second = await start()
      const resumed = await makeVideo(second, 'v', request, { step: yielded.step, path: yielded.path ?? '' })
      expect(resumed.equals(straight)).toBe(true)
      const { tokens } = await second.reply('finished', 'v')
      expect(tokens).toBe(Number(generatedTokens({ width: 96, height: 64, frames: 9 }, 8 - yielded.step)))
    },
  )

  test('a periodic checkpoint that survives a killed process resumes to the same bytes', async () => {
    const request = someGeneration()
    const straight = await makeVideo(await start(), 'straight', request)
    const victim = await start({ SLUICE_ANIMATIC_STEP_MS: '30', SLUICE_ANIMATIC_CHECKPOINT_MS: '0' })
    victim.generate('v', request)
    const { step, path } = await victim.reply('checkpoint', 'v', (reply) => reply.step === 3)
    victim.child.kill('SIGKILL')
    await victim.exited
    const heir = await start()
    expect((await makeVideo(heir, 'v', request, { step, path })).equals(straight)).toBe(true)
  })

  test('a checkpoint of another generation, a damaged one and a missing one are refused, and the runner stays usable', async () => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: '30' })
    runner.generate('v', someGeneration())
    await runner.reply('progress', 'v', (reply) => reply.phase === 'denoise' && reply.step === 2)
    runner.send({ type: 'yield', id: 'v' })
    const { step, path = '' } = await runner.reply('yielded', 'v')
    const refused = async (id: string, request: Generation, from: string): Promise<string> => {
      runner.generate(id, request, { step, path: from })
      const failed = await runner.reply('failed', id)
      expect(failed).toMatchObject({ code: 'bad_input', retryable: false })
      return failed.message
    }
    expect(await refused('prompt', someGeneration({ prompt: 'another' }), path)).toContain(
      'parameters differ',
    )
    expect(await refused('guidance', someGeneration({ guidance: 7 }), path)).toContain('parameters differ')
    expect(await refused('missing', someGeneration(), `${path}.gone`)).toContain('cannot be read')
    const content = readFileSync(path, 'utf8')
    writeFileSync(path, content.replace(`"step":${step}`, `"step":${step + 1}`))
    expect(await refused('damaged', someGeneration(), path)).toContain('digest')
    writeFileSync(path, content.slice(0, 100))
    expect(await refused('cut', someGeneration(), path)).toContain('not a checkpoint')
    await makeVideo(runner, 'after', someGeneration())
  })

  test('a yield before the first step gives back step 0 and nothing to resume from', async () => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: '60000' })
    runner.generate('v', someGeneration())
    await runner.reply('started', 'v')
    runner.send({ type: 'yield', id: 'v' })
    expect(await runner.reply('yielded', 'v')).toEqual({ type: 'yielded', id: 'v', step: 0 })
  })
})

describe('image to video', () => {
  const folder = mkdtempSync(join(tmpdir(), 'animatic-images-'))
  const [picture, negative, text] = [
    join(folder, 'picture.png'),
    join(folder, 'negative.jpg'),
    join(folder, 'text.png'),
  ]
  // Wide enough that the words, which cover the middle, change no quadrant much; one prompt letter for the same reason.
  const request = someGeneration({
    mode: 'i2v',
    prompt: '.',
    width: 336,
    height: 192,
    num_frames: 25,
    num_steps: 4,
  })
  const at = (position: 'head' | 'tail', path: string) => ({ position, path })
  type References = Parameters<SpawnedRunner['generate']>[3]

  beforeAll(async () => {
    await quadrants(336, 192).png().toFile(picture)
    await quadrants(336, 192).negate().jpeg({ quality: 95 }).toFile(negative)
    writeFileSync(text, 'no image')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  async function film(
    runner: SpawnedRunner,
    id: string,
    references: References,
    resume?: { step: number; path: string },
  ): Promise<Buffer> {
    runner.generate(id, request, resume, references)
    return readFileSync((await runner.reply('finished', id)).files.video)
  }
  const unlike = async (video: Buffer, seconds: number, path: string) =>
    farthest(await quadrantMeans(await frameAt(video, seconds)), await quadrantMeans(readFileSync(path)))

  test('the film starts with the head image, ends with the tail image, and loops', async () => {
    const runner = await start()
    const [first, last] = [0, 24 / 24]
    const head = await film(runner, 'head', [at('head', picture)])
    expect(await unlike(head, first, picture)).toBeLessThan(36)
    expect(await unlike(head, first, negative)).toBeGreaterThan(90)
    const tail = await film(runner, 'tail', [at('tail', picture)])
    expect(await unlike(tail, last, picture)).toBeLessThan(36)
    const loop = await film(runner, 'loop', [at('head', picture), at('tail', picture)])
    for (const seconds of [first, 0.5, last]) expect(await unlike(loop, seconds, picture)).toBeLessThan(36)
    const both = await film(runner, 'both', [at('head', picture), at('tail', negative)])
    expect(await unlike(both, first, picture)).toBeLessThan(36)
    expect(await unlike(both, last, negative)).toBeLessThan(36)
    expect(new Set([head, tail, loop, both].map((video) => video.toString('base64'))).size).toBe(4)
  })

  test('a video resumed from a checkpoint is the same bytes; a checkpoint of another image or place is refused', async () => {
    const references = [at('head', picture)]
    const straight = await film(await start(), 'straight', references)
    const victim = await start({ SLUICE_ANIMATIC_STEP_MS: '30', SLUICE_ANIMATIC_CHECKPOINT_MS: '0' })
    victim.generate('v', request, undefined, references)
    const { step, path } = await victim.reply('checkpoint', 'v', (reply) => reply.step === 2)
    victim.child.kill('SIGKILL')
    await victim.exited
    const heir = await start()
    expect((await film(heir, 'v', references, { step, path })).equals(straight)).toBe(true)
    for (const others of [
      [at('head', negative)],
      [at('tail', picture)],
      [at('head', picture), at('tail', picture)],
    ]) {
      const id = `other-${others.length}-${others[0]?.path}-${others[0]?.position}`
      heir.generate(id, request, { step, path }, others)
      expect(await heir.reply('failed', id)).toMatchObject({
        code: 'bad_input',
        message: expect.stringContaining('parameters differ'),
      })
    }
  })

  test('without an image, with one that is missing or no image, or with two at one place, it is refused', async () => {
    const runner = await start()
    for (const [id, references] of [
      ['none', undefined],
      ['empty', []],
      ['missing', [at('head', join(folder, 'absent.png'))]],
      ['text', [at('head', text)]],
      ['twice', [at('head', picture), at('head', negative)]],
    ] as const) {
      runner.generate(id, request, undefined, references === undefined ? undefined : [...references])
      expect(await runner.reply('failed', id), id).toMatchObject({ code: 'bad_input', retryable: false })
    }
    await film(runner, 'after', [at('head', picture)])
  })
})

describe('cancel', () => {
  test('interrupts the pause of a step, counts only whole steps, and frees the device', async () => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: '30000' })
    runner.generate('v', someGeneration())
    await runner.reply('started', 'v')
    runner.send({ type: 'cancel', id: 'v' })
    expect(await runner.reply('cancelled', 'v')).toMatchObject({ step: 0 })
    runner.generate('next', someGeneration())
    await runner.reply('started', 'next')
  })

  test('is ignored after released and for an id that is not known', async () => {
    const runner = await start()
    runner.generate('v', someGeneration({ width: 336, height: 192, num_frames: 33 }))
    await runner.reply('released', 'v')
    runner.send({ type: 'cancel', id: 'v' })
    runner.send({ type: 'yield', id: 'v' })
    runner.send({ type: 'cancel', id: 'stranger' })
    await runner.reply('finished', 'v')
    expect(runner.replies.some((reply) => reply.type === 'cancelled' || reply.type === 'yielded')).toBe(false)
  })
})

describe('requests', () => {
  test('load answers what the runner is, and an unknown model is missing', async () => {
    const runner = await start()
    expect(runner.replies[0]).toEqual({
      type: 'ready',
      device: 'cpu',
      devices: 1,
      vram_bytes: 0,
      models: ['animatic'],
      modes: ['t2v', 't2i2v', 'i2v'],
      limits: { frames_max: 129, pixels_max: 589_824 },
    })
    runner.send({ type: 'load', model: 'open-sora-2' })
    expect(await runner.reply('failed')).toMatchObject({ code: 'model_missing', retryable: false })
    expect((await runner.reply('failed')).id).toBeUndefined()
  })

  test('SLUICE_ANIMATIC_MODELS adds a model it stands in for', async () => {
    const runner = await start({ SLUICE_ANIMATIC_MODELS: 'animatic,open-sora-2' })
    expect((await runner.reply('ready')).models).toEqual(['animatic', 'open-sora-2'])
    await makeVideo(runner, 'v', someGeneration({ model: 'open-sora-2' }))
  })

  test('load names the models it is to serve, and one it does not stand in for is missing', async () => {
    const runner = await start({ SLUICE_ANIMATIC_MODELS: 'animatic,ink-wash,studio' })
    const weights = [{ id: 'ink-wash', lora: { path: '/nowhere', strength: 1 } }, { id: 'animatic' }]
    runner.send({ type: 'load', model: 'ink-wash', models: weights })
    await runner.reply('ready', undefined, ({ models }) => String(models) === 'ink-wash,animatic')
    runner.generate('v', someGeneration({ model: 'studio' }))
    expect(await runner.reply('failed', 'v')).toMatchObject({ code: 'model_missing' })
    runner.send({ type: 'load', model: 'ink-wash', models: [...weights, { id: 'stranger' }] })
    const failed = await runner.reply('failed', undefined, ({ id }) => id === undefined)
    expect(failed).toMatchObject({ code: 'model_missing', message: expect.stringContaining('"stranger"') })
  })

  test('a switch of models is said, takes its time once, and makes no difference to the film', async () => {
    const runner = await start({
      SLUICE_ANIMATIC_MODELS: 'animatic,ink-wash',
      SLUICE_ANIMATIC_SWITCH_MS: '50',
    })
    const ink = someGeneration({ model: 'ink-wash' })
    const first = await makeVideo(runner, 'a', ink)
    const switched = await runner.reply('finished', 'a')
    expect(switched.timings.load).toBeGreaterThan(0.04)
    expect(
      runner.replies.filter((reply) => reply.type === 'progress' && reply.id === 'a').at(0),
    ).toMatchObject({ phase: 'load' })
    expect((await makeVideo(runner, 'b', ink)).equals(first)).toBe(true)
    expect((await runner.reply('finished', 'b')).timings).not.toHaveProperty('load')
    await makeVideo(runner, 'c', someGeneration())
    expect((await runner.reply('finished', 'c')).timings.load).toBeGreaterThan(0.04)
  })

  test.each(['cancel', 'yield'] as const)(
    'a %s ends a switch at once, before the first step',
    async (wish) => {
      const runner = await start({
        SLUICE_ANIMATIC_MODELS: 'animatic,ink-wash',
        SLUICE_ANIMATIC_SWITCH_MS: '600000',
      })
      runner.generate('v', someGeneration({ model: 'ink-wash' }))
      await runner.reply('progress', 'v', ({ phase }) => phase === 'load')
      runner.send({ type: wish, id: 'v' })
      expect(await runner.reply(wish === 'cancel' ? 'cancelled' : 'yielded', 'v')).toMatchObject({ step: 0 })
      await makeVideo(runner, 'w', someGeneration({ model: 'ink-wash' }))
      expect((await runner.reply('finished', 'w')).timings).not.toHaveProperty('load')
    },
  )

  test('generate before load is refused', async () => {
    const runner = new SpawnedRunner()
    running.push(runner)
    runner.generate('v', someGeneration())
    expect(await runner.reply('failed', 'v')).toMatchObject({ code: 'model_missing' })
  })

  test.each<[string, Partial<Generation>]>([
    ['num_frames', { num_frames: 133 }],
    ['num_frames', { num_frames: 10 }],
    ['width', { width: 97 }],
    ['width', { width: 2048, height: 2048 }],
    ['num_steps', { num_steps: 101 }],
    ['mode', { mode: 'i2v' }],
  ])('a %s that cannot be made is refused by name', async (field, overrides) => {
    const runner = await start()
    runner.generate('v', someGeneration(overrides))
    const failed = await runner.reply('failed', 'v')
    expect(failed).toMatchObject({ code: 'bad_input', retryable: false })
    expect(failed.message).toContain(field)
  })

  test('a malformed line is logged, answered when it has an id, and does not end a video in work', async () => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: '20' })
    runner.generate('v', someGeneration())
    await runner.reply('started', 'v')
    runner.sendLine('{"type":')
    runner.sendLine('{"type":"generate","id":"broken"}')
    runner.sendLine('{"type":"dance","id":"v"}')
    expect(await runner.reply('failed', 'broken')).toMatchObject({ code: 'bad_input' })
    await runner.reply('finished', 'v')
    expect(runner.replies.filter((reply) => reply.type === 'failed')).toHaveLength(1)
    expect(runner.stderr).toContain('not JSON')
  })

  test('a reader that is slow gets every line, whole and in order', async () => {
    const runner = await start()
    runner.replyStream.pause()
    const count = 6000
    const lines = Array.from({ length: count }, (_, index) => `{"type":"dance","id":"x${index}"}`)
    runner.sendLine(lines.join('\n'))
    // The log is a pipe of its own: it shows that the runner has begun to answer into the unread channel.
    await runner.until(() => (runner.stderr.split('\n').length > 200 ? true : undefined), 'log lines')
    runner.replyStream.resume()
    await runner.reply('failed', `x${count - 1}`)
    const ids = runner.replies.flatMap((reply) => (reply.type === 'failed' ? [reply.id] : []))
    expect(ids).toEqual(Array.from({ length: count }, (_, index) => `x${index}`))
  })
})

describe('the end', () => {
  test.each(['denoising', 'drawing'])('end of stdin while %s exits 0 within a second', async (when) => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: when === 'denoising' ? '30000' : '0' })
    runner.generate('v', someGeneration({ width: 1024, height: 576, num_frames: 129 }))
    if (when === 'denoising') await runner.reply('started', 'v')
    else await runner.reply('progress', 'v', (reply) => reply.phase === 'decode' && reply.step > 1)
    const ended = performance.now()
    runner.child.stdin?.end()
    expect(await runner.exited).toBe(0)
    expect(performance.now() - ended).toBeLessThan(1000)
  })

  test('shutdown exits 0', async () => {
    const runner = await start()
    runner.send({ type: 'shutdown' })
    expect(await runner.exited).toBe(0)
  })

  test('a signal to the whole process group does not end it before the worker has yielded its video', async () => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: '30' })
    runner.generate('v', someGeneration())
    await runner.reply('progress', 'v', (reply) => reply.phase === 'denoise' && reply.step === 1)
    runner.child.kill('SIGTERM')
    runner.child.kill('SIGINT')
    runner.send({ type: 'yield', id: 'v' })
    const { path = '' } = await runner.reply('yielded', 'v')
    expect(existsSync(path)).toBe(true)
  })

  test('when nobody reads fd 3 any more it exits quietly', async () => {
    const runner = await start({ SLUICE_ANIMATIC_STEP_MS: '10' })
    runner.generate('v', someGeneration({ num_steps: 100 }))
    await runner.reply('started', 'v')
    runner.replyStream.destroy()
    expect(await runner.exited).toBe(0)
    expect(runner.stderr).toBe('')
  })

  test.each([
    ['without fd 3', {}, ['pipe', 'ignore', 'pipe'] as const, 'file descriptor 3'],
    [
      'with an unusable setting',
      { SLUICE_ANIMATIC_STEP_MS: 'fast' },
      ['pipe', 'ignore', 'pipe', 'pipe'] as const,
      'SLUICE_ANIMATIC_STEP_MS is "fast"',
    ],
  ])('a start %s says so in one line and exits 2', async (_, environment, stdio, words) => {
    const child = spawn(process.execPath, [MAIN], {
      stdio: [...stdio],
      env: { PATH: process.env.PATH, ...environment },
    })
    let stderr = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk
    })
    const [code] = await once(child, 'close')
    expect(code).toBe(2)
    expect(stderr).toContain(words)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})
