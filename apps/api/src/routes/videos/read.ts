import { accountRoute } from '../../http/route.ts'
import { readVideo } from '../../videos/video-store.ts'
import { videoAnswers, videoIdParams, videoReply } from './video-reply.ts'

export const retrieveVideoRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/videos/{id}',
    operationId: 'retrieveVideo',
    tag: 'videos',
    summary: 'How far a video is',
    params: videoIdParams,
    answers: videoAnswers,
    errors: ['not_found'],
  },
  async ({ context, key, params }) => {
    const video = await readVideo(context.db, key.accountId, params.id)
    context.repeats.noteKnown(video)
    return videoReply(context, video)
  },
)
