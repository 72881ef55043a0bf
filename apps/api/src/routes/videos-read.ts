import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { accountKey } from '../http/authentication.ts'
import { readVideo } from '../videos/video-store.ts'
import { renderVideo } from './render-video.ts'

/** GET /v1/videos/{id} */
export function retrieveVideo(context: Context): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:read')
    await renderVideo(context, response, await readVideo(context.db, key.accountId, request.params.id))
  }
}
