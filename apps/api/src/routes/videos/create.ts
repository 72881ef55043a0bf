import { repeatHeaders } from '../../http/request-headers.ts'
import { accountRoute } from '../../http/route.ts'
import { createRequestSchema } from '../../submissions/create-request.ts'
import { OTHER_NAMES } from '../../submissions/other-names.ts'
import { imageUpload } from './image-upload.ts'
import { SUBMISSION_ERRORS, submitAndShow } from './submission.ts'
import { videoAnswers } from './video-reply.ts'

export const createVideoRoute = accountRoute(
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
    upload: imageUpload,
    otherNames: OTHER_NAMES,
    example: { prompt: 'a paper boat in the rain', size: '336x192', num_frames: 129 },
    isSubmission: true,
    headers: repeatHeaders,
    answers: videoAnswers,
    errors: [
      ...SUBMISSION_ERRORS,
      'max_tokens_too_small',
      'max_cost_too_small',
      'promises_off',
      'cannot_be_promised',
    ],
  },
  async (call) => submitAndShow(call, { request: call.body, remixedFromVideoId: null }),
)
