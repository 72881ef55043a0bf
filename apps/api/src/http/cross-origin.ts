import type { RequestHandler, Response } from 'express'
import type { AllowedOrigins } from '../config/allowed-origins.ts'

const METHODS = 'GET, HEAD, POST, PATCH, DELETE'
/** How long a browser may remember a preflight's answer: Chromium keeps none for longer. */
const PREFLIGHT_SECONDS = '7200'
/** Headers of answers that a page may read besides the few that browsers always show. */
const EXPOSED = [
  'accept-ranges',
  'allow',
  'content-disposition',
  'content-range',
  'etag',
  'openai-poll-after-ms',
  'retry-after',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'x-request-id',
  'x-should-retry',
].join(', ')

/**
 * Lets pages of the allowed origins call: answers their preflights, whatever the path, and marks every answer
 * to them, errors too. Keys travel in the header Authorization, never in cookies, so no credentials are
 * allowed. Without any allowed origin it does nothing.
 */
export function crossOrigin(allowed: AllowedOrigins): RequestHandler {
  return (request, response, next) => {
    if (allowed !== '*' && allowed.size === 0) return next()
    if (allowed !== '*') response.vary('Origin')
    const origin = request.get('origin')
    if (origin === undefined || (allowed !== '*' && !allowed.has(origin))) return next()
    response.set('access-control-allow-origin', allowed === '*' ? '*' : origin)
    const isPreflight =
      request.method === 'OPTIONS' && request.get('access-control-request-method') !== undefined
    if (isPreflight) return answerPreflight(response, request.get('access-control-request-headers'))
    response.set('access-control-expose-headers', EXPOSED)
    next()
  }
}

/** Whatever headers a page wants to send it may: SDKs have many of their own. */
function answerPreflight(response: Response, headers: string | undefined): void {
  if (headers !== undefined) response.set('access-control-allow-headers', headers)
  response
    .vary('Access-Control-Request-Headers')
    .set({ 'access-control-allow-methods': METHODS, 'access-control-max-age': PREFLIGHT_SECONDS })
    .status(204)
    .end()
}
