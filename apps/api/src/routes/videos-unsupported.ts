import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { SluiceError } from '../errors.ts'
import { accountKey } from '../http/authentication.ts'

/** /v1/videos/edits, /extensions, /characters: calls of the OpenAI Videos API that Open-Sora has no counterpart for. */
export function unsupportedOperation(context: Context, what: string): RequestHandler {
  return async (request) => {
    await accountKey(context, request, 'videos:write')
    throw new SluiceError('unsupported_operation', `Open-Sora does not do ${what}. Submit a new video with POST /v1/videos.`)
  }
}
