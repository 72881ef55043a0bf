import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generatedTokens, videoTokens } from './token-count.ts'

test.each([
  ['256px 16:9', 336, 192, 8_316n, 415_800n],
  ['256px 1:1', 256, 256, 8_448n, 422_400n],
  ['768px 16:9', 1024, 576, 76_032n, 3_801_600n],
  ['768px 1:1', 768, 768, 76_032n, 3_801_600n],
])(
  '%s of 129 frames and 50 steps has the tokens of the published table',
  (_shape, width, height, tokens, generated) => {
    const clip = { width, height, frames: 129 }
    expect(videoTokens(clip)).toBe(tokens)
    expect(generatedTokens(clip, 50)).toBe(generated)
  },
)

const clips = fc.record({
  width: fc.integer({ min: 1, max: 4_096 }),
  height: fc.integer({ min: 1, max: 4_096 }),
  frames: fc.nat({ max: 1_000 }).map((k) => 4 * k + 1),
})

test('tokens are never fewer than one, and grow in proportion to the steps', () => {
  fc.assert(
    fc.property(clips, fc.nat({ max: 1_000 }), fc.nat({ max: 1_000 }), (clip, some, more) => {
      expect(videoTokens(clip)).toBeGreaterThan(0n)
      expect(generatedTokens(clip, some) + generatedTokens(clip, more)).toBe(
        generatedTokens(clip, some + more),
      )
      expect(generatedTokens(clip, 0)).toBe(0n)
    }),
  )
})

test('a clip and its transpose have the same tokens; four frames more are one latent frame more', () => {
  fc.assert(
    fc.property(clips, (clip) => {
      expect(videoTokens({ ...clip, width: clip.height, height: clip.width })).toBe(videoTokens(clip))
      expect(videoTokens({ ...clip, frames: clip.frames + 4 }) - videoTokens(clip)).toBe(
        videoTokens({ ...clip, frames: 1 }),
      )
    }),
  )
})

test('a trade token is W x H x frames / 1024: the same unit, but for the first frame', () => {
  fc.assert(
    fc.property(fc.nat({ max: 60 }), fc.nat({ max: 60 }), fc.nat({ max: 60 }), (w, h, k) => {
      const clip = { width: 16 * (w + 1), height: 16 * (h + 1), frames: 4 * k + 1 }
      const trade = BigInt((clip.width * clip.height * (clip.frames + 3)) / 1_024)
      expect(videoTokens(clip)).toBe(trade)
    }),
  )
})

test('frames that are not 4k+1 are refused, never rounded', () => {
  const frames = fc.oneof(
    fc.integer({ max: 0 }),
    fc.nat({ max: 10_000 }).filter((count) => count % 4 !== 1),
    fc.double().filter((count) => !Number.isInteger(count)),
  )
  fc.assert(
    fc.property(frames, (count) => {
      expect(() => videoTokens({ width: 16, height: 16, frames: count })).toThrow(RangeError)
    }),
  )
})
