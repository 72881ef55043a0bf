import { accountRoute } from '../../http/route.ts'
import { cancelVideo } from '../../videos/cancel.ts'
import { readVideo } from '../../videos/video-store.ts'
import { videoAnswers, videoIdParams, videoReply } from './video-reply.ts'

export const cancelVideoRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/videos/{id}/cancel',
    operationId: 'cancelVideo',
    tag: 'videos',
    summary: 'Cancel a video',
    description:
      'Queued: over at once, nothing charged. Running: stops at the next step; at most the steps done when it was asked, plus one, are charged.',
    params: videoIdParams,
    answers: videoAnswers,
    errors: ['not_found', 'state_conflict'],
  },
  async ({ context, key, params }) => {
    const video = await readVideo(context.db, key.accountId, params.id)
    context.repeats.noteKnown(video)
    return videoReply(context, await cancelVideo(context, key.accountId, video.id))
  },
)
