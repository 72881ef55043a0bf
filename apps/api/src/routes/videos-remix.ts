import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { accountKey } from '../http/authentication.ts'
import { originOf } from '../http/idempotency.ts'
import { parseRequest } from '../http/parse-request.ts'
import { readFields } from '../http/request-body.ts'
import { remixOf, remixRequestSchema } from '../videos/remix.ts'
import { submitVideo } from '../videos/submit.ts'
import { readVideo } from '../videos/video-store.ts'
import { renderVideo } from './render-video.ts'

/** POST /v1/videos/{id}/remix */
export function remixVideo(context: Context): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:write')
    const source = await readVideo(context.db, key.accountId, request.params.id)
    const { prompt } = parseRequest(remixRequestSchema, await readFields(request, response))
    const video = await submitVideo(context, key, {
      request: remixOf(source, prompt),
      ...originOf(request),
      remixedFromVideoId: source.id,
    })
    await renderVideo(context, response, video)
  }
}
