import { formatSize } from '@sluice/shared/models/sizes'
import { formatMicros } from '@sluice/shared/money'
import { ImageOfVideo } from '../inputs/input-image.ts'
import type { Video } from '../videos/video.ts'
import type { CreateRequest } from './create-request.ts'

/**
 * The fields by which another request asks for what a video was made of, but for its prompt: seed and input
 * image included.
 */
export function sameSettings(source: Video): Omit<CreateRequest, 'prompt'> {
  const { request } = source
  const hasImage = request.reference_sha256 !== undefined
  return {
    model: request.model,
    mode: request.mode,
    num_frames: request.num_frames,
    num_steps: request.num_steps,
    guidance: request.guidance,
    guidance_img: request.guidance_img,
    motion_score: request.motion_score,
    negative_prompt: request.negative_prompt,
    seed: request.seed,
    size: formatSize(source),
    service_tier: source.service_tier,
    ...(source.max_price_micros === null ? {} : { max_price: formatMicros(source.max_price_micros) }),
    ...(hasImage
      ? { input_reference: new ImageOfVideo(source.id), i2v_condition: request.i2v_condition }
      : {}),
  }
}
