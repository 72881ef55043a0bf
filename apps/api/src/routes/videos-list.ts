import { videoSchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { accountRoute } from '../http/route.ts'
import { listVideos, requireCursor } from '../videos/video-store.ts'
import { videoJson } from './video-json.ts'

const querySchema = z.strictObject({
  after: z.string().optional().meta({ description: 'The id the page before ended with.' }),
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'a whole number from 1 to 100')
    .default('20')
    .transform(Number),
  order: z.enum(['asc', 'desc']).default('desc').meta({ description: 'By time of creation.' }),
})

export const listAccountVideos = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/videos',
    operationId: 'listVideos',
    tag: 'videos',
    summary: "The account's videos, in pages",
    query: querySchema,
    answers: {
      200: {
        description: 'One page.',
        schema: z
          .object({
            object: z.literal('list'),
            data: z.array(videoSchema),
            first_id: z.string().nullable(),
            last_id: z.string().nullable(),
            has_more: z.boolean(),
          })
          .meta({ id: 'VideoList' }),
      },
    },
    errors: ['not_found'],
  },
  async ({ context, key, query, response }) => {
    if (query.after !== undefined) await requireCursor(context.db, key.accountId, query.after)
    const page = await listVideos(context.db, key.accountId, {
      after: query.after,
      limit: query.limit,
      order: query.order,
    })
    const data = await Promise.all(
      page.videos.map(async (video) => videoJson(video, await context.forecaster.of(video))),
    )
    response.json({
      object: 'list',
      data,
      first_id: page.videos[0]?.id ?? null,
      last_id: page.videos.at(-1)?.id ?? null,
      has_more: page.hasMore,
    })
  },
)
