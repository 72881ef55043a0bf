import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { SluiceError } from '../../errors.ts'
import { JsonReply, RawReply } from '../../http/reply.ts'
import { accountRoute } from '../../http/route.ts'
import { INPUT_IMAGE_FIELD } from '../../inputs/input-image.ts'
import { inputImageKey } from '../../inputs/input-store.ts'
import type { Services } from '../../services.ts'
import { sendObject } from '../../storage/send-object.ts'
import { OUTPUT_FILES, type Video } from '../../videos/video.ts'
import { readVideo } from '../../videos/video-store.ts'
import { PUBLIC_STATUS } from './video-json.ts'
import { videoIdParams } from './video-reply.ts'

const VARIANTS = ['video', 'thumbnail', 'spritesheet', INPUT_IMAGE_FIELD] as const
type Variant = (typeof VARIANTS)[number]
const querySchema = z.strictObject({
  variant: z
    .enum(VARIANTS)
    .default('video')
    .meta({
      description:
        'What of it: a completed video has the first three. input_reference is the image it was made from, fitted to its size, while it is kept.',
    }),
})
const URL_SECONDS_MAX = 3_600
const FILE_TYPES = ['video/mp4', 'image/webp', 'image/jpeg', 'image/png']
const FILE_HEADERS = {
  'accept-ranges': { description: 'bytes', type: 'string' },
  'content-length': { description: 'The bytes of this answer.', type: 'integer' },
  etag: { description: 'For If-None-Match and If-Range.', type: 'string' },
} as const
const NOT_CACHED = { 'cache-control': 'no-store' }

export const videoContentRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/videos/{id}/content',
    operationId: 'videoContent',
    tag: 'videos',
    summary: 'The bytes of a completed video, or of its input image',
    description:
      'On an S3 store a redirect to a signed URL (a HEAD is answered itself), on the disk store a stream that knows Range. Asked for exactly `Accept: application/json`, it answers the signed URL itself, which a page can use where it cannot send a header.',
    params: videoIdParams,
    query: querySchema,
    isLong: true,
    headers: z.object({
      Range: z
        .string()
        .optional()
        .meta({
          description: 'One range of bytes; of several the whole file is sent.',
          example: 'bytes=0-1023',
        }),
      'If-Range': z.string().optional().meta({ description: 'The etag that Range is meant for.' }),
      'If-None-Match': z.string().optional().meta({ description: 'The etag of what is there already.' }),
    }),
    tellsByHead: true,
    answers: {
      200: {
        description: 'The whole file, or a signed URL to it.',
        contentTypes: FILE_TYPES,
        headers: FILE_HEADERS,
        schema: z
          .object({ object: z.literal('video.content'), url: z.string(), expires_at: z.int() })
          .meta({ id: 'ContentUrl' }),
      },
      206: {
        description: 'The range asked for.',
        contentTypes: FILE_TYPES,
        headers: {
          ...FILE_HEADERS,
          'content-range': { description: 'Such as bytes 0-1023/48213.', type: 'string' },
        },
      },
      304: { description: 'The file is the one that If-None-Match names.' },
      302: {
        description: 'To a signed URL of the S3 store.',
        headers: { location: { description: 'The signed URL; it expires after an hour.', type: 'string' } },
      },
    },
    errors: ['not_found', 'state_conflict', 'content_expired', 'range_not_satisfiable'],
  },
  async ({ context, key, params, query, request }) => {
    const video = await readVideo(context.db, key.accountId, params.id)
    const objectKey = requireObjectKey(video, query.variant)
    const secondsLeft = requireSecondsLeft(context, video)
    if (request.get('accept')?.trim() === 'application/json') {
      const body = {
        object: 'video.content' as const,
        url: await signedUrl(context, video, objectKey, secondsLeft),
        expires_at: unixSeconds(new Date(context.clock.now() + secondsLeft * 1_000)),
      }
      return new JsonReply(body, { headers: NOT_CACHED })
    }
    // A signed URL is good for one method, and a HEAD that is redirected is sent as HEAD.
    if (context.storeRoutes === null && request.method !== 'HEAD') {
      const url = await signedUrl(context, video, objectKey, secondsLeft)
      return new RawReply((response) => response.set(NOT_CACHED).redirect(302, url))
    }
    return new RawReply(async (response) => {
      const file = { key: objectKey, downloadName: downloadName(video, objectKey) }
      const sent = await sendObject(context.store, file, request, response)
      if (sent === 'absent') throw new SluiceError('not_found', 'The file of this video is gone.', 'video_id')
    })
  },
)

/** Where the file lies in the store. Throws SluiceError when the video has no such file. */
function requireObjectKey(video: Video, variant: Variant): string {
  if (variant === INPUT_IMAGE_FIELD) {
    if (video.request.reference_sha256 === undefined)
      throw new SluiceError('not_found', 'The video was made from text alone: it has no image.', 'variant')
    if (!video.input_kept)
      throw new SluiceError(
        'content_expired',
        'The image this video was made from has been removed.',
        'variant',
      )
    return inputImageKey(video.id)
  }
  if (video.output_prefix === null) {
    throw new SluiceError(
      'state_conflict',
      `The video is ${PUBLIC_STATUS[video.status]}: only a completed video has content.`,
      'video_id',
    )
  }
  return `${video.output_prefix}/${OUTPUT_FILES[variant]}`
}

/**
 * How long a URL of the files may be good: an hour, or as long as they are still kept. Throws SluiceError
 * when they are no longer.
 */
function requireSecondsLeft(context: Services, video: Video): number {
  if (video.expires_at === null) return URL_SECONDS_MAX
  const leftMs = video.expires_at.getTime() - context.clock.now()
  if (leftMs <= 0) {
    throw new SluiceError(
      'content_expired',
      `The files of this video were kept until ${video.expires_at.toISOString()}.`,
      'video_id',
    )
  }
  return Math.min(URL_SECONDS_MAX, Math.ceil(leftMs / 1_000))
}

function signedUrl(
  context: Services,
  video: Video,
  objectKey: string,
  expiresInSeconds: number,
): Promise<string> {
  return context.store.signGet(objectKey, {
    expiresInSeconds,
    audience: 'client',
    downloadName: downloadName(video, objectKey),
  })
}

/** The name under which a browser saves the file. */
function downloadName(video: Video, objectKey: string): string {
  return `${video.id}${objectKey.slice(objectKey.lastIndexOf('.'))}`
}
