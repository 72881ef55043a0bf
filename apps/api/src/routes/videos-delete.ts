import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { accountKey } from '../http/authentication.ts'
import { deleteVideo } from '../videos/video-store.ts'

/** DELETE /v1/videos/{id} */
export function deleteAccountVideo(context: Context): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:write')
    await deleteVideo(context, key.accountId, request.params.id)
    response.json({ id: request.params.id, object: 'video.deleted', deleted: true })
  }
}
