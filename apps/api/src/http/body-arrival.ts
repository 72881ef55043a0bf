import type { Request, Response } from 'express'
import type { Bounds } from '../config/bounds.ts'
import { SluiceError } from '../errors.ts'

/** How often the pace of a body is looked at. */
const LOOK_EVERY_MS = 250

type Pace = Pick<Bounds, 'bodyBytesPerSecondMin' | 'bodyGraceMs'>

/**
 * Reads a body of at most `bytesMax` bytes, while it comes fast enough. Throws SluiceError `body_too_slow` or
 * `body_too_large`, or what `read` throws. Of a body that is refused the rest is thrown away.
 */
export async function whileItArrives<T>(
  { request, response }: { request: Request; response: Response },
  { pace, bytesMax }: { pace: Pace; bytesMax: number },
  read: () => Promise<T>,
): Promise<T> {
  if (request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue()
  const startedMs = performance.now()
  const refused = Promise.withResolvers<never>()
  let bytes = 0
  const refuse = (error: SluiceError) => {
    // Thrown away, so that the sender reads the answer.
    request.unpipe()
    request.off('data', count).resume()
    refused.reject(error)
  }
  const count = (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > bytesMax) refuse(tooLarge())
  }
  const look = setInterval(
    () => {
      const paidForMs = pace.bodyGraceMs + (bytes / pace.bodyBytesPerSecondMin) * 1_000
      if (request.complete || performance.now() - startedMs <= paidForMs) return
      response.set('connection', 'close')
      const least = `${pace.bodyBytesPerSecondMin / 1024} KiB a second`
      refuse(new SluiceError('body_too_slow', `The request body came too slowly: at least ${least}.`))
    },
    Math.min(LOOK_EVERY_MS, pace.bodyGraceMs),
  )
  request.on('data', count)
  try {
    return await Promise.race([read(), refused.promise])
  } finally {
    clearInterval(look)
    request.off('data', count)
  }
}

/**
 * The bytes that a body may take, as far as its headers say: its length, or `bytesMax` when it is sent in
 * chunks or compressed. Throws SluiceError `body_too_large`: it is refused before it is read.
 */
export function announcedBytes(request: Request, bytesMax: number): number {
  const length = Number(request.get('content-length') ?? Number.NaN)
  if (length > bytesMax) throw tooLarge()
  const isAsLong = request.get('content-encoding') === undefined && !Number.isNaN(length)
  return isAsLong ? length : bytesMax
}

/** Whether a request has a body at all. */
export function hasBody(request: Request): boolean {
  return request.get('transfer-encoding') !== undefined || Number(request.get('content-length') ?? 0) > 0
}

function tooLarge(): SluiceError {
  return new SluiceError('body_too_large', 'The request body is too large.')
}
