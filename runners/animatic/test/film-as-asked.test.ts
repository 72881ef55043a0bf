import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ANIMATIC } from '@sluice/shared/models/built-in/animatic'
import { generatedTokens } from '@sluice/shared/token-count'
import { BufferSource, Input, MP4 } from 'mediabunny'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { readMp4Facts } from '../../../test/support/mp4-facts.ts'
import { makeVideo, someGeneration, startAnimatic } from '../../../test/support/spawned-animatic.ts'

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
      const runner = await startAnimatic()
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
      expect(finished.tokens).toBe(
        Number(generatedTokens(ANIMATIC.tokens, { width, height, frames: num_frames }, 8)),
      )
      expect(finished.seed).toBe(42)
    },
  )

  test('is the same bytes for the same request, and another picture for another seed or prompt', async () => {
    const [one, two] = [await startAnimatic(), await startAnimatic()]
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
    const runner = await startAnimatic()
    const video = await makeVideo(
      runner,
      'v',
      someGeneration({ prompt, width: 160, height: 384, num_frames: 1, num_steps: 1 }),
    )
    expect(readMp4Facts(video).samples).toBe(1)
  })
})
