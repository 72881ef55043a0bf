import { reportAnswerSchema, reportSchema } from '@sluice/shared/attempt-contract'
import { isId } from '@sluice/shared/ids'
import { z } from 'zod'
import { refusingUnstorable } from '../../attempts/unstorable.ts'
import { scopedRoute } from '../../http/route.ts'

const paramsSchema = z.object({
  video: z.string().refine((id) => isId('video', id), 'a video id'),
  fence: z.coerce.number().int().min(1).max(2_147_483_647),
})

export const reportRoute = scopedRoute(
  'worker',
  {
    method: 'post',
    path: '/internal/attempts/{video}/{fence}',
    operationId: 'report',
    tag: 'service',
    summary: 'What happened to an attempt',
    params: paramsSchema,
    body: reportSchema,
    confirmsKey: true,
    answers: { 200: { description: 'What to do next.', schema: reportAnswerSchema } },
    errors: [],
  },
  async ({ context, key, confirmKey, params, body }) =>
    refusingUnstorable(() =>
      context.reports.apply(
        { keyId: key.id, videoId: params.video, fence: params.fence, report: body },
        confirmKey,
      ),
    ),
)
