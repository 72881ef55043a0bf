import { crc32, deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'

/** The four colours of `quadrants`, in reading order. */
export const QUADRANT_COLOURS = [
  [220, 40, 40],
  [40, 180, 60],
  [50, 70, 220],
  [230, 200, 50],
] as const

/** A picture of four plain quadrants, which shows how it was turned and cropped. */
export function quadrants(width: number, height: number): Sharp {
  const [halfWidth, halfHeight] = [Math.floor(width / 2), Math.floor(height / 2)]
  const pixels = Buffer.alloc(width * height * 3)
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const colour = QUADRANT_COLOURS[(y < halfHeight ? 0 : 2) + (x < halfWidth ? 0 : 1)] ?? [0, 0, 0]
      pixels.set(colour, (y * width + x) * 3)
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
}

/** The mean colour of each quadrant of a picture, in reading order. */
export async function quadrantMeans(image: Buffer): Promise<number[][]> {
  const { width, height } = await sharp(image).metadata()
  const [halfWidth, halfHeight] = [Math.floor(width / 2), Math.floor(height / 2)]
  return Promise.all(
    [0, 1, 2, 3].map(async (quadrant) => {
      const region = {
        left: (quadrant % 2) * halfWidth,
        top: quadrant < 2 ? 0 : halfHeight,
        width: halfWidth,
        height: halfHeight,
      }
      const part = await sharp(image).extract(region).removeAlpha().toColourspace('srgb').png().toBuffer()
      return (await sharp(part).stats()).channels.map((channel) => channel.mean)
    }),
  )
}

/** The largest difference of any channel of any quadrant, 0 to 255. */
export function farthest(
  means: readonly (readonly number[])[],
  from: readonly (readonly number[])[] = QUADRANT_COLOURS,
): number {
  return Math.max(
    ...means.flatMap((mean, quadrant) =>
      mean.map((value, channel) => Math.abs(value - (from[quadrant]?.[channel] ?? 999))),
    ),
  )
}

/** A PNG of a few kilobytes that claims to be of a large size, and would unpack to gigabytes. */
export function bombPng(width: number, height: number): Buffer {
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([8, 2, 0, 0, 0], 8)
  const row = Buffer.alloc(1 + width * 3)
  const rows = Buffer.concat(Array.from({ length: Math.min(height, 200) }, () => row))
  return pngOf([
    ['IHDR', head],
    ['IDAT', deflateSync(rows)],
    ['IEND', Buffer.alloc(0)],
  ])
}

/** A still PNG with the chunk that makes it an animation of `frames` frames. */
export function animatedPng(still: Buffer, frames: number): Buffer {
  const control = Buffer.alloc(8)
  control.writeUInt32BE(frames, 0)
  return pngWith(still, [['acTL', control]])
}

/** A PNG with chunks of its own behind its signature and IHDR. */
export function pngWith(still: Buffer, chunks: readonly (readonly [string, Buffer])[]): Buffer {
  const added = chunks.map(([type, data]) => chunk(type, data))
  return Buffer.concat([still.subarray(0, 33), ...added, still.subarray(33)])
}

/** A progressive JPEG whose last scan is written `times` times. */
export async function jpegOfScans(picture: Sharp, times: number): Promise<Buffer> {
  const jpeg = await picture.jpeg({ progressive: true }).toBuffer()
  const [scan, end] = [jpeg.lastIndexOf(Buffer.from([0xff, 0xda])), jpeg.length - 2]
  const repeated = Array.from({ length: times }, () => jpeg.subarray(scan, end))
  return Buffer.concat([jpeg.subarray(0, scan), ...repeated, jpeg.subarray(end)])
}

function pngOf(chunks: readonly (readonly [string, Buffer])[]): Buffer {
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    ...chunks.map(([type, data]) => chunk(type, data)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
