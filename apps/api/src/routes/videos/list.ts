import { videoSchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { lookUpPageQuery, pageJson, pageSchema } from '../../http/pages.ts'
import { accountRoute } from '../../http/route.ts'
import { listVideos, requireCursor } from '../../videos/video-store.ts'
import { videoJson } from './video-json.ts'

export const listVideosRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/videos',
    operationId: 'listVideos',
    tag: 'videos',
    summary: "The account's videos, in pages",
    query: z.strictObject({
      ...lookUpPageQuery,
      order: z.enum(['asc', 'desc']).default('desc').meta({ description: 'By time of creation.' }),
    }),
    answers: { 200: { description: 'One page.', schema: pageSchema(videoSchema, 'VideoList') } },
    errors: ['not_found'],
  },
  async ({ context, key, query }) => {
    const { after, limit, order } = query
    if (after !== undefined) await requireCursor(context.db, key.accountId, after)
    const { videos, hasMore } = await listVideos(context.db, key.accountId, { after, limit, order })
    const data = await Promise.all(
      videos.map(async (video) => videoJson(video, await context.forecaster.of(video))),
    )
    return pageJson({ data, hasMore })
  },
)
