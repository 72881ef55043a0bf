import { expect, test } from 'vitest'
import { writeI420 } from './pixel-format.ts'

test.each([
  // BT.709 limited range reference values (ITU-R BT.709-6, table 3.4 to 3.5, at 8 bits).
  ['black', [0, 0, 0], [16, 128, 128]],
  ['white', [255, 255, 255], [235, 128, 128]],
  ['red', [255, 0, 0], [63, 102, 240]],
  ['green', [0, 255, 0], [173, 42, 26]],
  ['blue', [0, 0, 255], [32, 240, 118]],
])('%s keeps to the limited range of BT.709', (_, [r = 0, g = 0, b = 0], yuv) => {
  const rgba = Uint8Array.from({ length: 4 * 4 * 2 }, (_, index) => [r, g, b, 255][index % 4] ?? 0)
  const planes = new Uint8Array(4 * 2 * 1.5)
  writeI420(rgba, 4, 2, planes)
  expect([planes[0], planes[8], planes[10]]).toEqual(yuv)
})
