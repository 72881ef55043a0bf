import { type ErrorRequestHandler, type Request, type Response, Router } from 'express'
import { EXPIRED, MISMATCH, type SignedRequest, type SignedUrl, verifyUrl } from './disk-signature.ts'
import type { DiskStore } from './disk-store.ts'
import { ObjectTooLargeError, StoreArgumentError } from './object-store.ts'
import { sendObject } from './send-object.ts'

const STATUS_BY_CODE = {
  [EXPIRED]: 403,
  [MISMATCH]: 403,
  content_type_mismatch: 403,
  object_not_found: 404,
  object_too_large: 413,
  bad_url: 400,
} as const satisfies Record<string, number>

/**
 * `PUT`, `GET` and `HEAD /store/*key`, for the URLs that `store` signed and no others. Mount before body
 * parsers, authentication and rate limits: the signature authenticates, and the body must arrive unread.
 */
export function diskRoutes(store: DiskStore): Router {
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
    try {
      if (Number(request.get('Content-Length') ?? 0) > grant.bytesMax)
        throw new ObjectTooLargeError(key, grant.bytesMax)
      const info = await store.putAtMost(key, request, grant.contentType, grant.bytesMax)
      response.set('ETag', info.etag).status(200).end()
    } catch (error) {
      // The client closed the connection: there is nobody to answer, and nothing was stored.
      if (request.destroyed && !request.complete) return
      if (!(error instanceof ObjectTooLargeError)) throw error
      refuse(response, 'object_too_large', error.message)
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

  router.use(answerBadUrl)
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
  response
    .status(STATUS_BY_CODE[code])
    .json({ error: { message, type: 'invalid_request_error', code, param } })
}

/** Answers a key that no store accepts and invalid percent-encoding. The app answers all other errors. */
const answerBadUrl: ErrorRequestHandler = (error, _request, response, next) => {
  if (error instanceof URIError || error instanceof StoreArgumentError)
    refuse(response, 'bad_url', error.message, 'key')
  else next(error)
}
