import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { animatedPng, pngWith, quadrants } from '../../../../test/support/images.ts'
import { chunksToDecode } from './png-chunks.ts'

/** Of its picture's chunks alone. */
async function still(): Promise<Buffer> {
  const png = await quadrants(60, 40).png().toBuffer()
  return chunksToDecode(png)?.bytes ?? png
}
const pixelsOf = (png: Buffer) => sharp(png).raw().toBuffer()
/** EXIF that says nothing but the orientation. */
const exifOf = (orientation: number) =>
  Buffer.from([
    ...Buffer.from('MM\0*\0\0\0\b\0\x01\x01\x12\0\x03\0\0\0\x01\0', 'latin1'),
    orientation,
    0,
    0,
    0,
    0,
    0,
    0,
  ])

test('a decoder gets none of a PNG’s texts, which unpack to gigabytes, and all that its picture is made of', async () => {
  const bare = await still()
  const unpacked = deflateSync(Buffer.alloc(1024 * 1024))
  const texts = Array.from({ length: 100 }, (_, index): [string, Buffer] => [
    index % 2 === 0 ? 'zTXt' : 'iTXt',
    Buffer.concat([Buffer.from(`text${index}\0\0`, 'latin1'), unpacked]),
  ])
  expect(chunksToDecode(pngWith(bare, texts))?.bytes.equals(bare)).toBe(true)
  const turned = pngWith(bare, [['eXIf', exifOf(6)], ...texts, ['gAMA', Buffer.from([0, 1, 0x86, 0xa0])]])
  const decoded = chunksToDecode(turned)?.bytes ?? Buffer.alloc(0)
  expect(decoded.length).toBeLessThan(bare.length + 100)
  expect(await sharp(decoded).metadata()).toMatchObject({ orientation: 6 })
  expect(decoded.includes('gAMA')).toBe(true)
  expect((await pixelsOf(decoded)).equals(await pixelsOf(bare))).toBe(true)
})

test('a PNG in more chunks than any encoder makes is not walked through', async () => {
  const bare = await still()
  const pieces = (count: number) =>
    pngWith(
      bare,
      Array.from({ length: count }, () => ['tEXt', Buffer.alloc(0)]),
    )
  expect(chunksToDecode(pieces(19_000))).not.toBeNull()
  expect(chunksToDecode(pieces(20_000))).toBeNull()
})

test('an animation is known by the chunk before its pixels, and a cut PNG stays cut', async () => {
  const bare = await still()
  expect(chunksToDecode(animatedPng(bare, 3))?.isAnimated).toBe(true)
  expect(chunksToDecode(bare)?.isAnimated).toBe(false)
  for (const bytes of [bare.subarray(0, 50), bare.subarray(0, 37), bare.subarray(0, 12)])
    expect(chunksToDecode(bytes)?.bytes.equals(bytes)).toBe(true)
})
