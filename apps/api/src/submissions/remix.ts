import { formatSize } from '@sluice/shared/model-catalogue'
import type { Video } from '../videos/video.ts'
import { type CreateRequest, createRequestSchema } from './create-request.ts'
import { sameImage } from './request-image.ts'

/** The one field of POST /v1/videos/{id}/remix. */
export const remixRequestSchema = createRequestSchema.pick({ prompt: true })

/** A new request with another video's settings, its seed included, and a prompt of its own; what labels the source stays with it. */
export function remixOf(source: Video, prompt: string): CreateRequest {
  const { model, mode, num_frames, num_steps, guidance, guidance_img, motion_score, negative_prompt, seed } =
    source.request
  return {
    prompt,
    model,
    mode,
    num_frames,
    num_steps,
    guidance,
    guidance_img,
    motion_score,
    negative_prompt,
    seed,
    ...sameImage(source),
    size: formatSize(source),
    service_tier: source.service_tier,
  }
}
