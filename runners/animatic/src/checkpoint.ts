import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import { type Generation, generationSchema } from '@sluice/shared/generation'
import { z } from 'zod'
import type { InputImage } from './input-image.ts'
import { LATENT_LENGTH } from './latent.ts'

export interface Checkpoint {
  /** Steps that are done. */
  step: number
  latent: Float64Array
}

const checkpointSchema = z.strictObject({
  format: z.literal('animatic-checkpoint-1'),
  /** SHA-256 of the generation it belongs to, its input images included. */
  generation: z.string(),
  step: z.int().nonnegative(),
  /** 64-bit little-endian floats in base64. */
  latent: z.string(),
  /** SHA-256 of the fields above. */
  digest: z.string(),
})
type CheckpointFile = z.infer<typeof checkpointSchema>

/** Writes `checkpoint.ckpt` in the folder, whole or not at all; returns its path. */
export async function writeCheckpoint(
  folder: string,
  generation: Generation,
  images: readonly InputImage[],
  checkpoint: Checkpoint,
): Promise<string> {
  const path = join(folder, 'checkpoint.ckpt')
  const content = {
    format: 'animatic-checkpoint-1',
    generation: generationHash(generation, images),
    step: checkpoint.step,
    latent: encodeLatent(checkpoint.latent),
  } as const
  const file: CheckpointFile = { ...content, digest: sha256(JSON.stringify(content)) }
  await writeFile(`${path}.part`, JSON.stringify(file))
  await rename(`${path}.part`, path)
  return path
}

/**
 * Reads what an earlier attempt at the same generation wrote.
 * @throws RunnerFailure `bad_input` when the file is missing, broken, or of another generation.
 */
export async function readCheckpoint(
  path: string,
  generation: Generation,
  images: readonly InputImage[],
): Promise<Checkpoint> {
  const file = await readFile(path, 'utf8').catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error)
    throw new RunnerFailure('bad_input', `resume.path cannot be read: ${why}`)
  })
  const parsed = checkpointSchema.safeParse(parseJson(file))
  if (!parsed.success) throw new RunnerFailure('bad_input', 'resume.path is not a checkpoint of this runner')
  const { digest, ...content } = parsed.data
  const latent = decodeLatent(content.latent)
  if (digest !== sha256(JSON.stringify(content)) || latent === undefined) {
    throw new RunnerFailure('bad_input', 'resume.path is a damaged checkpoint: its digest does not match')
  }
  if (content.generation !== generationHash(generation, images)) {
    throw new RunnerFailure(
      'bad_input',
      'resume.path is a checkpoint of another generation: its parameters differ',
    )
  }
  if (content.step > generation.num_steps) {
    throw new RunnerFailure(
      'bad_input',
      `resume.path holds ${content.step} steps, more than num_steps ${generation.num_steps}`,
    )
  }
  return { step: content.step, latent }
}

function generationHash(generation: Generation, images: readonly InputImage[]): string {
  // The schema puts the keys in its own order, whatever order the request had.
  const words = JSON.stringify(generationSchema.parse(generation))
  const pictures = images.map((image) => `${image.position} ${image.sha256}`).sort()
  return sha256([words, ...pictures].join('\n'))
}

function encodeLatent(latent: Float64Array): string {
  const bytes = Buffer.alloc(latent.length * 8)
  latent.forEach((value, index) => {
    bytes.writeDoubleLE(value, index * 8)
  })
  return bytes.toString('base64')
}

function decodeLatent(text: string): Float64Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== LATENT_LENGTH * 8) return undefined
  return Float64Array.from({ length: LATENT_LENGTH }, (_, index) => bytes.readDoubleLE(index * 8))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
