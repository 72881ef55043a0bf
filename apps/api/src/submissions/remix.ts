import type { Video } from '../videos/video.ts'
import { type CreateRequest, createRequestSchema } from './create-request.ts'
import { sameSettings } from './same-settings.ts'

/** The one field of POST /v1/videos/{id}/remix. */
export const remixRequestSchema = createRequestSchema.pick({ prompt: true })

/**
 * A request with another video's settings and a prompt of its own. The source's metadata and webhook stay
 * with the source.
 */
export function remixOf(source: Video, prompt: string): CreateRequest {
  return { prompt, ...sameSettings(source) }
}
