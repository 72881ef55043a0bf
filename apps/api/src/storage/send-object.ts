import { pipeline } from 'node:stream/promises'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Request, Response } from 'express'
import {
  attachment,
  type ByteRange,
  type ObjectStore,
  type OpenObject,
  RangeUnsatisfiableError,
  StoreUnavailableError,
} from './object-store.ts'

export type SendOutcome = 'sent' | 'absent'

export interface SentObject {
  key: string
  /** The name under which a browser saves the object. */
  downloadName?: string | null
}

/**
 * Answers a GET or HEAD with the object: 200, 206 (one range), 304 (If-None-Match) or 416, with ETag,
 * Accept-Ranges and nosniff. A request for several ranges gets the whole object, as HTTP allows. `absent`
 * means that nothing was sent, and the caller answers with 404 or 410. A client that closes the connection
 * early is no error.
 */
export async function sendObject(
  store: ObjectStore,
  { key, downloadName }: SentObject,
  request: Request,
  response: Response,
): Promise<SendOutcome> {
  const info = await store.head(key)
  if (info === null) return 'absent'
  response.set({
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private',
    'Content-Type': info.contentType,
    'X-Content-Type-Options': 'nosniff',
    ETag: info.etag,
  })
  if (typeof downloadName === 'string') response.set('Content-Disposition', attachment(downloadName))
  if (request.fresh) {
    response.status(304).end()
    return 'sent'
  }
  if (request.method === 'HEAD') {
    response.set('Content-Length', String(info.bytes)).end()
    return 'sent'
  }
  const range = rangeOf(request, info.bytes, info.etag)
  if (range === 'unsatisfiable') return sendUnsatisfiable(response, info.bytes)
  let opened: OpenObject | null
  try {
    opened = await store.get(key, range ?? undefined)
  } catch (error) {
    if (error instanceof RangeUnsatisfiableError) return sendUnsatisfiable(response, error.totalBytes)
    throw error
  }
  if (opened === null) {
    for (const name of ['ETag', 'Content-Type', 'Content-Disposition', 'Accept-Ranges'])
      response.removeHeader(name)
    return 'absent'
  }
  // The client went away while the object was opened: nobody would read it, and so close it.
  if (response.destroyed) {
    opened.body.destroy()
    return 'sent'
  }
  // From `opened`, not `info`: the object may have been replaced, and the headers must fit what is sent.
  response.set({ ETag: opened.etag, 'Content-Length': String(opened.bytes) })
  if (range !== null) {
    response
      .status(206)
      .set('Content-Range', `bytes ${range.start}-${range.start + opened.bytes - 1}/${opened.totalBytes}`)
  }
  const { body } = opened
  // Once all is sent, the server gives its connection the time of an idle one.
  response.setTimeout(TIME_LIMITS.http.sendSilenceMs, () => response.destroy())
  try {
    await pipeline(body, response)
  } catch (error) {
    // Whatever the response says then, only what the store says is an error.
    if (body.errored instanceof StoreUnavailableError) throw error
  }
  return 'sent'
}

/** The range to send; null for the whole object. */
function rangeOf(request: Request, totalBytes: number, etag: string): ByteRange | 'unsatisfiable' | null {
  const ifRange = request.get('If-Range')
  if (ifRange !== undefined && ifRange !== etag) return null
  const ranges = request.range(totalBytes)
  if (ranges === -1) return 'unsatisfiable'
  if (ranges === undefined || ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return null
  const range = ranges[0]
  return range === undefined ? null : { start: range.start, end: range.end }
}

function sendUnsatisfiable(response: Response, totalBytes: number): SendOutcome {
  response.removeHeader('Content-Type')
  response.removeHeader('ETag')
  const message = `Range is not within the file: allowed is within its ${totalBytes} bytes.`
  const error = { message, type: 'invalid_request_error', code: 'range_not_satisfiable', param: 'Range' }
  response.status(416).set('Content-Range', `bytes */${totalBytes}`).json({ error })
  return 'sent'
}
