import type { RequestHandler } from 'express'
import { SluiceError } from '../errors.ts'

/** POST /v1/videos/edits, /extensions, /characters: calls of the OpenAI Videos API that Open-Sora has no counterpart for. */
export function unsupportedOperation(what: string): RequestHandler {
  return () => {
    throw new SluiceError('unsupported_operation', `Open-Sora does not do ${what}. Submit a new video with POST /v1/videos.`)
  }
}
