import { newId } from '@sluice/shared/ids'
import type { Request, RequestHandler } from 'express'
import type { Logger } from 'pino'

/**
 * Logs one line per request when it is over, without bodies, prompts or keys; its id is the answer's
 * x-request-id. A line that the level leaves out costs nothing.
 */
export function logRequests(log: Logger): RequestHandler {
  return (request, response, next) => {
    const id = newId('req')
    response.setHeader('x-request-id', id)
    const startedMs = performance.now()
    response.once('close', () => {
      const isFault = response.statusCode === 500
      const level = isFault ? 'error' : 'debug'
      if (!log.isLevelEnabled(level)) return
      log[level](
        {
          req: { id, method: request.method, path: pathOf(request), client: request.ip },
          res: { status: response.statusCode },
          responseTime: Math.round(performance.now() - startedMs),
        },
        response.writableFinished ? 'request answered' : 'the client was gone before its answer',
      )
    })
    next()
  }
}

function pathOf({ originalUrl }: Request): string {
  return originalUrl.split('?')[0] ?? ''
}
