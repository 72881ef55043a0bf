import { join } from 'node:path'
import type { Canvas } from '@napi-rs/canvas'
import sharp from 'sharp'

/** The thumbnail is the frame at this share of the clip. */
const THUMBNAIL_AT = 0.6

/** What the stills are made from. */
export interface StillPictures {
  width: number
  height: number
  /** RGBA of the frame `thumbnailIndex`. */
  thumbnail: Uint8Array | Uint8ClampedArray
  sheet: Canvas
}

/** Which frame of a clip is its thumbnail. */
export function thumbnailIndex(frames: number): number {
  return Math.floor(frames * THUMBNAIL_AT)
}

/**
 * Writes thumbnail.webp and spritesheet.jpg into the folder; returns their paths. Throws what encoding or
 * writing throws.
 */
export async function writeStills(
  folder: string,
  { width, height, thumbnail, sheet }: StillPictures,
): Promise<{ thumbnail: string; spritesheet: string }> {
  const paths = { thumbnail: join(folder, 'thumbnail.webp'), spritesheet: join(folder, 'spritesheet.jpg') }
  await sharp(thumbnail, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .webp({ quality: 84 })
    .toFile(paths.thumbnail)
  await sharp(sheet.data(), { raw: { width: sheet.width, height: sheet.height, channels: 4 } })
    .removeAlpha()
    .jpeg({ quality: 82 })
    .toFile(paths.spritesheet)
  return paths
}
