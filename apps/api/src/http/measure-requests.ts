import type { RequestHandler, Response } from 'express'
import type { Metrics } from '../metrics/metrics.ts'

const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE', 'OPTIONS']

/** What the handlers of a request note about it for the metrics. */
interface Marks {
  routePath?: string
  isSubmission?: boolean
  errorCode?: string
}

/**
 * Counts and times every request. Labels have few values whatever clients send: the path is the template of
 * the call that was found, or `other`.
 */
export function measureRequests(metrics: Pick<Metrics, 'requests' | 'submissions'>): RequestHandler {
  return (request, response, next) => {
    const startedMs = performance.now()
    response.once('close', () => {
      const { routePath, isSubmission, errorCode } = response.locals as Marks
      const path = routePath ?? 'other'
      const method = METHODS.includes(request.method) ? request.method : 'other'
      metrics.requests.observe(
        { method, path, status: response.statusCode },
        (performance.now() - startedMs) / 1_000,
      )
      if (isSubmission === true) metrics.submissions.inc({ result: errorCode ?? 'accepted' })
    })
    next()
  }
}

/** Notes which call a request came to. */
export function markRoute(path: string): RequestHandler {
  return (_request, response, next) => {
    response.locals.routePath = path
    next()
  }
}

/** Notes that a request submits a video. */
export function markSubmission(response: Response): void {
  response.locals.isSubmission = true
}
