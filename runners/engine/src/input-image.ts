import { readFile } from 'node:fs/promises'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import type { Generation } from '@sluice/shared/generation'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import type { EngineImage } from './dialects/dialect.ts'

type References = Extract<RunnerRequest, { type: 'generate' }>['references']

/**
 * The image of mode i2v, to be sent to an engine; null in other modes. The worker fitted it to the clip's
 * size, and gives the same one for both ends of a loop. Throws RunnerFailure `bad_input`.
 */
export async function readInputImage(
  { mode, i2v_condition }: Generation,
  references: References,
): Promise<EngineImage | null> {
  if (mode !== 'i2v') return null
  const [reference] = references ?? []
  if (reference === undefined)
    throw new RunnerFailure('bad_input', 'references is missing; mode i2v needs an image')
  let bytes: Buffer<ArrayBuffer>
  try {
    bytes = await readFile(reference.path)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new RunnerFailure('bad_input', `the ${reference.position} image cannot be read: ${why}`)
  }
  const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8
  const [name, type] = isJpeg ? ['image.jpg', 'image/jpeg'] : ['image.png', 'image/png']
  return { file: new File([bytes], name, { type }), condition: i2v_condition ?? 'head' }
}
