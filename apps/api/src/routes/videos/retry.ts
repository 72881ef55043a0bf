import { repeatHeaders } from '../../http/request-headers.ts'
import { accountRoute } from '../../http/route.ts'
import { retryOf } from '../../submissions/retry.ts'
import { readSource, SUBMISSION_ERRORS, submitAndShow } from './submission.ts'
import { videoAnswers, videoIdParams } from './video-reply.ts'

export const retryVideoRoute = accountRoute(
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
    isSubmission: true,
    headers: repeatHeaders,
    answers: videoAnswers,
    errors: ['not_found', 'state_conflict', ...SUBMISSION_ERRORS],
  },
  async (call) => {
    const source = await readSource(call, call.params.id)
    return submitAndShow(call, {
      request: retryOf(source),
      remixedFromVideoId: source.remixed_from_video_id,
      retriedFrom: source,
    })
  },
)
