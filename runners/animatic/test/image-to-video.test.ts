import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { farthest, quadrantMeans, quadrants } from '../../../test/support/images.ts'
import { type SpawnedRunner, someGeneration, startAnimatic } from '../../../test/support/spawned-animatic.ts'
import { frameAt } from '../../../test/support/video-frame.ts'

describe('image to video', () => {
  const folder = mkdtempSync(join(tmpdir(), 'animatic-images-'))
  const [picture, negative, text] = [
    join(folder, 'picture.png'),
    join(folder, 'negative.jpg'),
    join(folder, 'text.png'),
  ]
  // Wide, with one letter as prompt: so the words, which cover the middle, change no quadrant much.
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
    const runner = await startAnimatic()
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
    const straight = await film(await startAnimatic(), 'straight', references)
    const victim = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '30', SLUICE_ANIMATIC_CHECKPOINT_MS: '0' })
    victim.generate('v', request, undefined, references)
    const { step, path } = await victim.reply('checkpoint', 'v', (reply) => reply.step === 2)
    victim.child.kill('SIGKILL')
    await victim.exited
    const heir = await startAnimatic()
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
    const runner = await startAnimatic()
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
