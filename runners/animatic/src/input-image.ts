import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import type { Generation } from '@sluice/shared/generation'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import sharp from 'sharp'

/** An input image as the request names it: the protocol calls them references. */
type Reference = NonNullable<Extract<RunnerRequest, { type: 'generate' }>['references']>[number]

/** An image the clip starts (`head`) or ends (`tail`) with. */
export interface InputImage {
  position: Reference['position']
  /** SHA-256 of the file, hex. */
  sha256: string
  /** RGBA of exactly the video's size. */
  pixels: Uint8ClampedArray
}

/** More than any image of a video's size takes up. */
const PIXELS_MAX = 40_000_000

/**
 * Reads the images of mode i2v and covers the video's size with each. Returns none in any other mode.
 * @throws RunnerFailure `bad_input` when there is none, a position is named twice, or a file is missing or no
 * image.
 */
export async function readInputImages(
  generation: Generation,
  references: readonly Reference[] = [],
): Promise<InputImage[]> {
  if (generation.mode !== 'i2v') return []
  if (references.length === 0)
    throw new RunnerFailure('bad_input', 'references is missing; mode i2v needs an image')
  const positions = new Set(references.map(({ position }) => position))
  if (positions.size !== references.length)
    throw new RunnerFailure('bad_input', 'references name a position twice; allowed is one head and one tail')
  return Promise.all(references.map((reference) => readInputImage(generation, reference)))
}

async function readInputImage(
  { width, height }: Generation,
  { position, path }: Reference,
): Promise<InputImage> {
  try {
    const file = await readFile(path)
    const pixels = await sharp(file, { limitInputPixels: PIXELS_MAX })
      .resize(width, height, { fit: 'cover' })
      .flatten()
      .toColourspace('srgb')
      .ensureAlpha()
      .raw()
      .toBuffer()
    return {
      position,
      sha256: createHash('sha256').update(file).digest('hex'),
      pixels: new Uint8ClampedArray(pixels),
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new RunnerFailure('bad_input', `the ${position} image cannot be read: ${why}`)
  }
}
