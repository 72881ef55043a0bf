import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import { type Generation, generationSchema } from '@sluice/shared/generation'
import { z } from 'zod'

/** What a later attempt, on whatever host, needs to find the job in the engine again: the checkpoint. */
export interface HeldJob {
  /** The engine's id of it. */
  job: string
  /** Jobs made for this video so far, with this one: each further one means that the engine lost one. */
  number: number
}

const jobFileSchema = z.strictObject({
  format: z.literal('engine-job-1'),
  /** SHA-256 of the generation it belongs to. */
  generation: z.string(),
  job: z.string().min(1),
  number: z.int().positive(),
})

/** Writes `checkpoint.ckpt` in the folder, whole or not at all; returns its path. */
export async function writeJobFile(folder: string, generation: Generation, held: HeldJob): Promise<string> {
  const path = join(folder, 'checkpoint.ckpt')
  const file: z.infer<typeof jobFileSchema> = {
    format: 'engine-job-1',
    generation: hashOf(generation),
    job: held.job,
    number: held.number,
  }
  await writeFile(`${path}.part`, JSON.stringify(file))
  await rename(`${path}.part`, path)
  return path
}

/** Throws RunnerFailure `bad_input` when the file is missing, broken or of another generation. */
export async function readJobFile(path: string, generation: Generation): Promise<HeldJob> {
  const refuse = (why: string) => new RunnerFailure('bad_input', `resume.path ${why}`)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw refuse(`cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  })
  const file = jobFileSchema.safeParse(parseJson(text)).data
  if (file === undefined) throw refuse('is not a checkpoint of this runner')
  if (file.generation !== hashOf(generation))
    throw refuse('is a checkpoint of another generation: its parameters differ')
  return { job: file.job, number: file.number }
}

function hashOf(generation: Generation): string {
  // The schema puts the keys in its own order, whatever order the request had.
  return createHash('sha256')
    .update(JSON.stringify(generationSchema.parse(generation)))
    .digest('hex')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
