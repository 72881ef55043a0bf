import { originOf } from '../http/idempotency.ts'
import { accountRoute } from '../http/route.ts'
import { retryOf } from '../submissions/retry.ts'
import { submitVideo } from '../submissions/submit.ts'
import { readVideo } from '../videos/video-store.ts'
import { renderVideo } from './render-video.ts'
import { videoAnswer, videoIdParams } from './schemas.ts'

export const retryVideo = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/videos/{id}/retry',
    operationId: 'retryVideo',
    tag: 'videos',
    summary: 'Make a failed or cancelled video again',
    description:
      'A new video of the same request, its seed included, held and charged on its own at the prices of now. The one before it stays as it is.',
    params: videoIdParams,
    answers: videoAnswer,
    errors: [
      'moderation_refused',
      'not_found',
      'state_conflict',
      'insufficient_balance',
      'budget_exceeded',
      'model_not_allowed',
      'idempotency_conflict',
      'queue_full',
      'unavailable',
    ],
  },
  async ({ context, key, params, request, response }) => {
    const source = await readVideo(context.db, key.accountId, params.id)
    const submission = {
      request: retryOf(source),
      ...originOf(request),
      remixedFromVideoId: source.remixed_from_video_id,
      retriedFrom: source,
    }
    await renderVideo(context, response, await submitVideo(context, key, submission))
  },
)
