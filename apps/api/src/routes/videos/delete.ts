import { z } from 'zod'
import { originOf } from '../../http/request-headers.ts'
import { accountRoute } from '../../http/route.ts'
import { deleteVideo } from '../../videos/delete.ts'
import { videoIdParams } from './video-reply.ts'

export const deleteVideoRoute = accountRoute(
  'videos:write',
  {
    method: 'delete',
    path: '/v1/videos/{id}',
    operationId: 'deleteVideo',
    tag: 'videos',
    summary: 'Delete a video and its files',
    description:
      'An unfinished video is cancelled first. What was charged stays charged; the ledger keeps its rows.',
    params: videoIdParams,
    isLong: true,
    answers: {
      200: {
        description: 'It is gone.',
        schema: z.object({ id: z.string(), object: z.literal('video.deleted'), deleted: z.literal(true) }),
      },
    },
    errors: ['not_found'],
  },
  async ({ context, key, params, request }) => {
    await deleteVideo(context, key.accountId, params.id, originOf(request))
    return { id: params.id, object: 'video.deleted', deleted: true }
  },
)
