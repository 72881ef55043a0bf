import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { type ErrorRequestHandler, type Request, type Response, Router } from 'express'
import { EXPIRED, MISMATCH, type SignedRequest, type SignedUrl, verifyUrl } from './disk-signature.ts'
import type { DiskStore } from './disk-store.ts'
import { ObjectTooLargeError, StoreArgumentError, StoreUnavailableError } from './object-store.ts'
import { sendObject } from './send-object.ts'

const STATUS_BY_CODE = {
  [EXPIRED]: 403,
  [MISMATCH]: 403,
  content_type_mismatch: 403,
  object_not_found: 404,
  attempt_ended: 410,
  object_too_large: 413,
  store_unavailable: 503,
  store_full: 507,
  bad_url: 400,
} as const satisfies Record<string, number>

/** Whether what a URL was signed for is still wanted; asked before a body is read, and when it is whole. */
export type MayPut = (key: string) => Promise<boolean>

/** The URL is good, but nobody waits any more for what would be put there. */
class NotWantedError extends Error {
  override readonly name = 'NotWantedError'
}

/**
 * `PUT`, `GET` and `HEAD /store/*key`, for the URLs that `store` signed and no others. Mount before body
 * parsers, authentication and rate limits: the signature authenticates, and the body must arrive unread.
 */
export function diskRoutes(store: DiskStore, mayPut: MayPut): Router {
  const router = Router()

  router.put('/store/*key', async (request, response) => {
    if (request.readableDidRead) throw new Error('the disk routes must be mounted before any body parser')
    const key = keyOf(request)
    const grant = verify({ method: 'PUT', key, query: queryOf(request) }, store.secret, response)
    if (grant?.method !== 'PUT') return
    const given = request.get('Content-Type')
    if (given !== grant.contentType) {
      return refuse(
        response,
        'content_type_mismatch',
        `Content-Type is ${given ?? 'missing'}, the URL was signed for ${grant.contentType}`,
      )
    }
    const mayKeep = async () => {
      if (!(await mayPut(key))) throw new NotWantedError(`the attempt that ${key} is of has ended`)
    }
    const giveUp = () => request.destroy()
    request.setTimeout(TIME_LIMITS.http.putSilenceMs, giveUp)
    try {
      if (Number(request.get('Content-Length') ?? 0) > grant.bytesMax)
        throw new ObjectTooLargeError(key, grant.bytesMax)
      await mayKeep()
      const { contentType, bytesMax } = grant
      const info = await store.putAtMost(key, request, { contentType, bytesMax, mayKeep })
      response.set('ETag', info.etag).status(200).end()
    } catch (error) {
      // The client closed the connection: there is nobody to answer, and nothing was stored.
      if (request.destroyed && !request.complete) return
      throw error
    } finally {
      request.socket.setTimeout(0, giveUp)
    }
  })

  // Express answers HEAD through the GET route.
  router.get('/store/*key', async (request, response) => {
    const key = keyOf(request)
    const grant = verify({ method: 'GET', key, query: queryOf(request) }, store.secret, response)
    if (grant?.method !== 'GET') return
    const outcome = await sendObject(store, { key, downloadName: grant.downloadName }, request, response)
    if (outcome === 'absent') refuse(response, 'object_not_found', `${key} does not exist`)
  })

  router.use(answerError)
  return router
}

function keyOf(request: Request<{ key: string[] }>): string {
  return request.params.key.join('/')
}

function queryOf(request: Request): URLSearchParams {
  return new URL(request.originalUrl, 'http://localhost').searchParams
}

/** What the request's URL allows; null when it allows nothing and was answered with 403. */
function verify(request: SignedRequest, secret: string, response: Response): SignedUrl | null {
  const verdict = verifyUrl(request, secret, Date.now())
  if (verdict === EXPIRED) refuse(response, EXPIRED, 'this URL has expired', 'expires')
  else if (verdict === MISMATCH)
    refuse(response, MISMATCH, 'this URL was not signed here for this method and key, or was changed', 'sig')
  else return verdict
  return null
}

function refuse(
  response: Response,
  code: keyof typeof STATUS_BY_CODE,
  message: string,
  param: string | null = null,
): void {
  const status = STATUS_BY_CODE[code]
  const type = status >= 500 ? 'api_error' : 'invalid_request_error'
  if (status >= 500) response.set('Retry-After', '1')
  response.status(status).json({ error: { message, type, code, param } })
}

/** Answers what can be wrong with a URL, a body or the disk. The app answers all other errors. */
const answerError: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent) next(error)
  else if (error instanceof URIError || error instanceof StoreArgumentError)
    refuse(response, 'bad_url', error.message, 'key')
  else if (error instanceof ObjectTooLargeError) refuse(response, 'object_too_large', error.message)
  else if (error instanceof NotWantedError) refuse(response, 'attempt_ended', error.message)
  else if (error instanceof StoreUnavailableError)
    refuse(response, error.reason === 'full' ? 'store_full' : 'store_unavailable', error.message)
  else next(error)
}
