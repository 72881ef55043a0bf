import { expect, test } from 'vitest'
import { psnr, ssim } from '../bench/rig/picture-quality.ts'

const SIZE = { width: 16, height: 16 }
const frame = (level: (x: number, y: number) => number): Buffer =>
  Buffer.from(
    Array.from({ length: 256 }, (_, pixel) => level(pixel % 16, Math.floor(pixel / 16))).flatMap((grey) => [
      grey,
      grey,
      grey,
    ]),
  )
const ramp = frame((x, y) => 8 * (x + y))

test('the same clip is infinitely near and wholly alike', () => {
  expect(psnr(ramp, ramp)).toBe(Number.POSITIVE_INFINITY)
  expect(ssim(ramp, ramp, SIZE)).toBeCloseTo(1, 9)
})

test('PSNR is that of the mean square of the differences', () => {
  expect(
    psnr(
      ramp,
      frame((x, y) => 8 * (x + y) + 1),
    ),
  ).toBeCloseTo(20 * Math.log10(255), 9)
  expect(
    psnr(
      frame(() => 0),
      frame(() => 255),
    ),
  ).toBeCloseTo(0, 9)
})

test('SSIM falls with the structure: brighter is nearly alike, turned around is not', () => {
  const brighter = ssim(
    ramp,
    frame((x, y) => 8 * (x + y) + 5),
    SIZE,
  )
  const turned = ssim(
    ramp,
    frame((x, y) => 240 - 8 * (x + y)),
    SIZE,
  )
  expect(brighter).toBeGreaterThan(0.98)
  expect(turned).toBeLessThan(0)
})
