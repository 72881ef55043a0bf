import { originOf } from '../http/idempotency.ts'
import { accountRoute } from '../http/route.ts'
import { remixOf, remixRequestSchema } from '../submissions/remix.ts'
import { submitVideo } from '../submissions/submit.ts'
import { readVideo } from '../videos/video-store.ts'
import { renderVideo } from './render-video.ts'
import { videoAnswer, videoIdParams } from './schemas.ts'

export const remixVideo = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/videos/{id}/remix',
    operationId: 'remixVideo',
    tag: 'videos',
    summary: 'The same settings, another sentence',
    params: videoIdParams,
    body: remixRequestSchema,
    example: { prompt: 'the same boat at night' },
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
  async ({ context, key, params, body, request, response }) => {
    const source = await readVideo(context.db, key.accountId, params.id)
    const submission = {
      request: remixOf(source, body.prompt),
      ...originOf(request),
      remixedFromVideoId: source.id,
    }
    await renderVideo(context, response, await submitVideo(context, key, submission))
  },
)
