import { repeatHeaders } from '../../http/request-headers.ts'
import { accountRoute } from '../../http/route.ts'
import { remixOf, remixRequestSchema } from '../../submissions/remix.ts'
import { readSource, SUBMISSION_ERRORS, submitAndShow } from './submission.ts'
import { videoAnswers, videoIdParams } from './video-reply.ts'

export const remixVideoRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/videos/{id}/remix',
    operationId: 'remixVideo',
    tag: 'videos',
    summary: 'The same settings, another sentence',
    description:
      'A new video with everything of another, its image and seed included, and a sentence of its own. Another `seed` makes another video of the same sentence.',
    params: videoIdParams,
    body: remixRequestSchema,
    example: { prompt: 'the same boat at night' },
    isSubmission: true,
    headers: repeatHeaders,
    answers: videoAnswers,
    errors: ['not_found', 'state_conflict', ...SUBMISSION_ERRORS],
  },
  async (call) => {
    const source = await readSource(call, call.params.id)
    return submitAndShow(call, { request: remixOf(source, call.body), remixedFromVideoId: source.id })
  },
)
