import { accountRoute } from '../http/route.ts'
import { readVideo } from '../videos/video-store.ts'
import { renderVideo } from './render-video.ts'
import { videoAnswer, videoIdParams } from './schemas.ts'

export const retrieveVideo = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/videos/{id}',
    operationId: 'retrieveVideo',
    tag: 'videos',
    summary: 'How far a video is',
    params: videoIdParams,
    answers: videoAnswer,
    errors: ['not_found'],
  },
  async ({ context, key, params, response }) => {
    await renderVideo(context, response, await readVideo(context.db, key.accountId, params.id))
  },
)
