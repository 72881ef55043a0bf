import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { accountKey } from '../http/authentication.ts'
import { cancelVideo } from '../videos/cancel.ts'
import { readVideo } from '../videos/video-store.ts'
import { renderVideo } from './render-video.ts'

/** POST /v1/videos/{id}/cancel */
export function cancelAccountVideo(context: Context): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:write')
    const { id } = await readVideo(context.db, key.accountId, request.params.id)
    await renderVideo(context, response, await cancelVideo(context, key.accountId, id))
  }
}
