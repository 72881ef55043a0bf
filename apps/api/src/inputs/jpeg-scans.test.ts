import { expect, test } from 'vitest'
import { jpegOfScans, quadrants } from '../../../../test/support/images.ts'
import { cutAtYields } from '../in-slices.ts'
import { hasTooManyScans, SCANS_MAX } from './jpeg-scans.ts'

const isRefused = (jpeg: Buffer) => cutAtYields(hasTooManyScans(jpeg))

test('scans are counted as a decoder comes to them: up to the end of the image, and not inside other segments', async () => {
  const picture = quadrants(600, 400)
  const usual = await picture.clone().jpeg({ progressive: true }).toBuffer()
  const scans = usual.toString('latin1').split('\xff\xda').length - 1
  expect(scans).toBeGreaterThan(5)
  expect(await isRefused(await jpegOfScans(picture, SCANS_MAX - scans + 1))).toBe(false)
  expect(await isRefused(await jpegOfScans(picture, SCANS_MAX - scans + 2))).toBe(true)
  const noise = Buffer.alloc(2 * 150, Buffer.from([0xff, 0xda]))
  const header = Buffer.from([0xff, 0xe1, 0, 0])
  header.writeUInt16BE(noise.length + 2, 2)
  const holding = Buffer.concat([usual.subarray(0, 2), header, noise, usual.subarray(2), noise])
  expect(await isRefused(holding)).toBe(false)
  expect(await isRefused(await quadrants(600, 400).jpeg().toBuffer())).toBe(false)
})

test('whatever follows its first bytes, a walk over it ends', async () => {
  for (const filling of [[0xff], [0], [0xff, 0], [0xff, 0xe0, 0, 2], [0xff, 0xe0, 0, 0], [0xff, 0xd0]])
    expect(
      await isRefused(Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.alloc(99_999, Buffer.from(filling))])),
    ).toBe(false)
})
