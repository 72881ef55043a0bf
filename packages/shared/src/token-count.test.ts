import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OPEN_SORA_2 } from './models/built-in/open-sora.ts'
import { generatedTokens, videoTokens } from './token-count.ts'

const RULE = OPEN_SORA_2.tokens

test.each([
  ['256px 16:9', 336, 192, 8_316n, 415_800n],
  ['256px 1:1', 256, 256, 8_448n, 422_400n],
  ['768px 16:9', 1024, 576, 76_032n, 3_801_600n],
  ['768px 1:1', 768, 768, 76_032n, 3_801_600n],
])(
  '%s of 129 frames and 50 steps has the tokens of the published table',
  (_shape, width, height, tokens, generated) => {
    const clip = { width, height, frames: 129 }
    expect(videoTokens(RULE, clip)).toBe(tokens)
    expect(generatedTokens(RULE, clip, 50)).toBe(generated)
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
      expect(videoTokens(RULE, clip)).toBeGreaterThan(0n)
      expect(generatedTokens(RULE, clip, some) + generatedTokens(RULE, clip, more)).toBe(
        generatedTokens(RULE, clip, some + more),
      )
      expect(generatedTokens(RULE, clip, 0)).toBe(0n)
    }),
  )
})

test('a clip and its transpose have the same tokens; four frames more are one latent frame more', () => {
  fc.assert(
    fc.property(clips, (clip) => {
      expect(videoTokens(RULE, { ...clip, width: clip.height, height: clip.width })).toBe(
        videoTokens(RULE, clip),
      )
      expect(videoTokens(RULE, { ...clip, frames: clip.frames + 4 }) - videoTokens(RULE, clip)).toBe(
        videoTokens(RULE, { ...clip, frames: 1 }),
      )
    }),
  )
})

test('a trade token is W x H x frames / 1024: the same unit, but for the first frame', () => {
  fc.assert(
    fc.property(fc.nat({ max: 60 }), fc.nat({ max: 60 }), fc.nat({ max: 60 }), (w, h, k) => {
      const clip = { width: 16 * (w + 1), height: 16 * (h + 1), frames: 4 * k + 1 }
      const trade = BigInt((clip.width * clip.height * (clip.frames + 3)) / 1_024)
      expect(videoTokens(RULE, clip)).toBe(trade)
    }),
  )
})

test('what is no length or size is refused, never rounded', () => {
  const notWhole = fc.oneof(
    fc.integer({ max: 0 }),
    fc.double().filter((value) => !Number.isInteger(value)),
  )
  fc.assert(
    fc.property(notWhole, fc.constantFrom('frames', 'width', 'height'), (value, side) => {
      const clip = { width: 16, height: 16, frames: 1, [side]: value }
      expect(() => videoTokens(RULE, clip)).toThrow(RangeError)
    }),
  )
})

test('what is left over of a patch, in time or space, counts as a whole one', () => {
  const rule = { temporal: 8, spatial: 32, patch: [2, 1, 1] } as const
  const tokens = (width: number, height: number, frames: number) =>
    videoTokens(rule, { width, height, frames })
  expect(tokens(32, 32, 1)).toBe(1n)
  expect([tokens(33, 32, 1), tokens(32, 33, 1), tokens(33, 33, 1)]).toEqual([2n, 2n, 4n])
  // Two latent frames are one patch: the first frame and the next eight.
  expect([tokens(32, 32, 2), tokens(32, 32, 9), tokens(32, 32, 10), tokens(32, 32, 25)]).toEqual([
    1n,
    1n,
    2n,
    2n,
  ])
})
