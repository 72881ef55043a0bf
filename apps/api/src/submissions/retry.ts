import { formatSize } from '@sluice/shared/model-catalogue'
import { SluiceError } from '../errors.ts'
import type { Video } from '../videos/video.ts'
import type { CreateRequest } from './create-request.ts'
import { sameImage } from './request-image.ts'

/**
 * The request of a failed or cancelled video once more, its seed included. Throws SluiceError `state_conflict` for any other:
 * a completed one is there, an unfinished one is tried again by itself.
 */
export function retryOf(source: Video): CreateRequest {
  if (source.status !== 'failed' && source.status !== 'cancelled') {
    const state = source.status === 'completed' ? 'completed' : 'not finished'
    throw new SluiceError(
      'state_conflict',
      `The video is ${state}: only a failed or cancelled video can be retried.`,
      'video_id',
    )
  }
  const { model, mode, num_frames, num_steps, guidance, guidance_img, motion_score, negative_prompt, seed } =
    source.request
  return {
    prompt: source.original_prompt ?? source.request.prompt,
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
    metadata: source.metadata,
    webhook_url: source.webhook_url ?? undefined,
    execution_expires_after: Math.round(
      (source.execution_expires_at.getTime() - source.created_at.getTime()) / 1_000,
    ),
  }
}
