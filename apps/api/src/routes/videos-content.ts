import type { RequestHandler } from 'express'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { SluiceError } from '../errors.ts'
import { accountKey } from '../http/authentication.ts'
import { parseRequest } from '../http/parse-request.ts'
import { sendObject } from '../storage/send-object.ts'
import { OUTPUT_FILES, type Video } from '../videos/video.ts'
import { readVideo } from '../videos/video-store.ts'
import { PUBLIC_STATUS, unixSeconds } from './video-json.ts'

const VARIANTS = ['video', 'thumbnail', 'spritesheet'] as const
const querySchema = z.strictObject({ variant: z.enum(VARIANTS).default('video') })
const URL_SECONDS = 3_600

/**
 * GET /v1/videos/{id}/content: the bytes. On S3 a redirect to a signed URL, on disk a stream that knows Range. Asked for
 * `Accept: application/json`, it answers the signed URL itself, which a page can use where it can't send a header.
 */
export function videoContent(context: Context): RequestHandler<{ id: string }> {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:read')
    const { variant } = parseRequest(querySchema, request.query)
    const video = await readVideo(context.db, key.accountId, request.params.id)
    if (video.output_prefix === null) {
      throw new SluiceError(
        'state_conflict',
        `The video is ${PUBLIC_STATUS[video.status]}: only a completed video has content.`,
        'video_id',
      )
    }
    const objectKey = `${video.output_prefix}/${OUTPUT_FILES[variant]}`
    response.set('cache-control', 'private, max-age=3600')
    if (request.get('accept')?.trim() === 'application/json') {
      response.set('cache-control', 'no-store')
      response.json({
        object: 'video.content',
        url: await signedUrl(context, video, objectKey),
        expires_at: unixSeconds(new Date(context.clock.now() + URL_SECONDS * 1_000)),
      })
    } else if (context.storeRoutes === null) {
      response.set('cache-control', 'no-store')
      response.redirect(302, await signedUrl(context, video, objectKey))
    } else {
      const sent = await sendObject(context.store, objectKey, request, response)
      if (sent === 'absent') throw new SluiceError('not_found', 'The file of this video is gone.', 'video_id')
    }
  }
}

function signedUrl(context: Context, video: Video, objectKey: string): Promise<string> {
  const extension = objectKey.slice(objectKey.lastIndexOf('.'))
  return context.store.signGet(objectKey, { expiresInSeconds: URL_SECONDS, audience: 'client', downloadName: `${video.id}${extension}` })
}
