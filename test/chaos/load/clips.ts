import { createHash } from 'node:crypto'
import { readMp4Facts } from '../../support/mp4-facts.ts'
import type { Client } from './client.ts'

/** The kinds of clip that customers order. Equal requests make equal bytes, which is what is checked. */
export const CLIPS = [
  { prompt: 'a paper boat in the rain', num_frames: 5, num_steps: 4, seed: 1 },
  { prompt: 'a lighthouse at night', num_frames: 9, num_steps: 12, seed: 2 },
  { prompt: 'snow on a quiet street', num_frames: 5, num_steps: 25, seed: 3 },
  { prompt: 'a kite over the dunes', num_frames: 13, num_steps: 8, seed: 4 },
  { prompt: 'two foxes at dusk', num_frames: 5, num_steps: 50, seed: 5 },
] as const
export type Clip = (typeof CLIPS)[number]

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The file of each clip when nothing is disturbed, by SHA-256. Throws when a file is not as ordered. */
export async function makeReferences(client: Client): Promise<ReadonlyMap<Clip, string>> {
  const references = new Map<Clip, string>()
  for (const clip of CLIPS) {
    const created = await client.call('POST', '/v1/videos', { body: clip })
    const id = created.body.id as string
    for (;;) {
      const { body } = await client.call('GET', `/v1/videos/${id}`)
      if (body.status === 'completed') break
      if (body.status === 'failed')
        throw new Error(`undisturbed, ${id} failed: ${JSON.stringify(body.error)}`)
    }
    const bytes = await client.content(id)
    if (bytes === null) throw new Error(`undisturbed, ${id} has no file`)
    const { samples, width, height } = readMp4Facts(bytes)
    if (samples !== clip.num_frames || width !== 336 || height !== 192)
      throw new Error(`undisturbed, ${id} is ${width}x${height} with ${samples} frames`)
    references.set(clip, sha256(bytes))
  }
  return references
}
