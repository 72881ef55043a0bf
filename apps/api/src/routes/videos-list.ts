import type { RequestHandler } from 'express'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { accountKey } from '../http/authentication.ts'
import { parseRequest } from '../http/parse-request.ts'
import { listVideos, requireCursor } from '../videos/video-store.ts'
import { videoJson } from './video-json.ts'

const querySchema = z.strictObject({
  after: z.string().optional(),
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'a whole number from 1 to 100')
    .default('20')
    .transform(Number),
  order: z.enum(['asc', 'desc']).default('desc'),
})

/** GET /v1/videos */
export function listAccountVideos(context: Context): RequestHandler {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:read')
    const query = parseRequest(querySchema, request.query)
    if (query.after !== undefined) await requireCursor(context.db, key.accountId, query.after)
    const page = await listVideos(context.db, key.accountId, { after: query.after, limit: query.limit, order: query.order })
    const data = await Promise.all(page.videos.map(async (video) => videoJson(video, await context.forecaster.of(video))))
    response.json({
      object: 'list',
      data,
      first_id: page.videos[0]?.id ?? null,
      last_id: page.videos.at(-1)?.id ?? null,
      has_more: page.hasMore,
    })
  }
}
