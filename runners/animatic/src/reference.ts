import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Generation } from '@sluice/shared/generation'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import sharp from 'sharp'
import { RunnerFailure } from './runner-failure.ts'

type Named = NonNullable<Extract<RunnerRequest, { type: 'generate' }>['references']>[number]

/** An image the clip starts (`head`) or ends (`tail`) with. */
export interface Reference {
  position: Named['position']
  /** SHA-256 of the file, hex. */
  sha256: string
  /** RGBA of exactly the video's size. */
  pixels: Uint8ClampedArray
}

/** More than any image of a video's size takes up. */
const PIXELS_MAX = 40_000_000

/**
 * Reads the images of mode i2v and covers the video's size with each. None in any other mode.
 * @throws RunnerFailure `bad_input` when there is none, a position is named twice, or a file is missing or no image.
 */
export async function readReferences(
  generation: Generation,
  named: readonly Named[] = [],
): Promise<Reference[]> {
  if (generation.mode !== 'i2v') return []
  if (named.length === 0)
    throw new RunnerFailure('bad_input', 'references is missing; mode i2v needs an image')
  const positions = new Set(named.map(({ position }) => position))
  if (positions.size !== named.length)
    throw new RunnerFailure('bad_input', 'references name a position twice; allowed is one head and one tail')
  return Promise.all(named.map((reference) => readReference(generation, reference)))
}

async function readReference({ width, height }: Generation, { position, path }: Named): Promise<Reference> {
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
    throw new RunnerFailure(
      'bad_input',
      `the ${position} image cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}
