import { SluiceError } from '../errors.ts'
import type { Video } from '../videos/video.ts'
import type { CreateRequest } from './create-request.ts'
import { sameSettings } from './same-settings.ts'

/**
 * The request of a failed or cancelled video once more. Throws SluiceError `state_conflict` for any other: a
 * completed one needs no retry, an unfinished one is requeued by itself.
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
  const expiresAfterMs = source.execution_expires_at.getTime() - source.created_at.getTime()
  return {
    prompt: source.original_prompt ?? source.request.prompt,
    ...sameSettings(source),
    metadata: source.metadata,
    webhook_url: source.webhook_url ?? undefined,
    execution_expires_after: Math.round(expiresAfterMs / 1_000),
  }
}
