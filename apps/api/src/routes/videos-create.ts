import { originOf } from '../http/idempotency.ts'
import { accountRoute } from '../http/route.ts'
import { createRequestSchema } from '../submissions/create-request.ts'
import { submitVideo } from '../submissions/submit.ts'
import { renderVideo } from './render-video.ts'
import { videoAnswer } from './schemas.ts'

export const createVideo = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/videos',
    operationId: 'createVideo',
    tag: 'videos',
    summary: 'Submit a sentence',
    description:
      'Prices the video, holds that much of the balance and queues it. JSON or multipart form. An `Idempotency-Key` header makes repeats of the same request answer the same video.',
    body: createRequestSchema,
    takesImage: true,
    example: { prompt: 'a paper boat in the rain', size: '336x192', num_frames: 129 },
    answers: videoAnswer,
    errors: [
      'moderation_refused',
      'max_tokens_too_small',
      'max_cost_too_small',
      'insufficient_balance',
      'budget_exceeded',
      'model_not_allowed',
      'idempotency_conflict',
      'queue_full',
      'unavailable',
    ],
  },
  async ({ context, key, body, request, response }) => {
    const video = await submitVideo(context, key, {
      request: body,
      ...originOf(request),
      remixedFromVideoId: null,
    })
    await renderVideo(context, response, video)
  },
)
