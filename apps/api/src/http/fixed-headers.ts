import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { RequestHandler } from 'express'

/**
 * A handler that sets the headers which `handler` sets whatever the request, all at once: it is asked a
 * single time, now. `handler` must be through when it calls `next`.
 */
export function fixedHeaders(
  handler: (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void,
): RequestHandler {
  const request = new IncomingMessage(new Socket())
  const seen = new ServerResponse(request)
  handler(request, seen, (error) => {
    if (error !== undefined) throw error
  })
  const headers = Object.entries(seen.getHeaders()).map(([name, value]) => [name, String(value)] as const)
  return (_request, response, next) => {
    for (const [name, value] of headers) response.setHeader(name, value)
    next()
  }
}
