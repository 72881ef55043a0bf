import { z } from 'zod'
import type { Video } from '../videos/video.ts'
import { type CreateRequest, createRequestSchema } from './create-request.ts'
import { sameSettings } from './same-settings.ts'

/** The fields of POST /v1/videos/{id}/remix. */
export const remixRequestSchema = z.strictObject({
  prompt: createRequestSchema.shape.prompt,
  seed: createRequestSchema.shape.seed.meta({
    description: 'Another seed makes another video; without it, the seed of the source.',
  }),
})

/**
 * A request with another video's settings and a prompt of its own, and a seed of its own where one is named.
 * The source's metadata and webhook stay with the source.
 */
export function remixOf(source: Video, { prompt, seed }: z.output<typeof remixRequestSchema>): CreateRequest {
  return { prompt, ...sameSettings(source), ...(seed === undefined ? {} : { seed }) }
}
