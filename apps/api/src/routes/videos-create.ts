import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { accountKey } from '../http/authentication.ts'
import { originOf } from '../http/idempotency.ts'
import { parseRequest } from '../http/parse-request.ts'
import { readFields } from '../http/request-body.ts'
import { createRequestSchema } from '../videos/create-request.ts'
import { submitVideo } from '../videos/submit.ts'
import { renderVideo } from './render-video.ts'

/** POST /v1/videos */
export function createVideo(context: Context): RequestHandler {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:write')
    const fields = parseRequest(createRequestSchema, await readFields(request, response))
    const video = await submitVideo(context, key, {
      request: fields,
      ...originOf(request),
      remixedFromVideoId: null,
    })
    await renderVideo(context, response, video)
  }
}
