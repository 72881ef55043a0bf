import type { ErrorRequestHandler, RequestHandler } from 'express'
import multer from 'multer'
import type { Logger } from 'pino'
import { type ErrorCode, isText, SluiceError } from '../errors.ts'
import { StoreUnavailableError } from '../storage/object-store.ts'
import { ClientGoneError } from './admit.ts'
import { ERROR_STATUS } from './error-status.ts'
import { isPerson, sendPersonPage } from './person-page.ts'

/**
 * The last handler: what was thrown becomes `{error: {message, type, code, param}}` and the code's status; a
 * person who looks with a browser gets a page that says it.
 */
export function errorHandler(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    if (response.headersSent) {
      next(thrown)
      return
    }
    if (thrown instanceof ClientGoneError) {
      response.destroy()
      return
    }
    const error = asSluiceError(thrown)
    const answer = ERROR_STATUS[error.code]
    response.locals.errorCode = error.code
    if (answer.status >= 500)
      log.error({ err: thrown, method: request.method, path: request.path }, 'request failed')
    if (error.code === 'too_many_at_once') response.set('retry-after', '1')
    if ('retry' in answer) response.set('x-should-retry', 'false')
    if ('retryAfterSeconds' in answer) response.set('retry-after', String(answer.retryAfterSeconds))
    response.vary('accept')
    if (isPerson(request)) {
      const isUnknown = error.code === 'unknown_route'
      sendPersonPage(response, { status: answer.status, message: error.message, isUnknown })
      return
    }
    response.status(answer.status).json({ error: bodyOf(error) })
  }
}

/** What a call would be answered that fails with this, as a part of the answer to another call. */
export function errorAnswer(thrown: unknown): { status: number; error: ReturnType<typeof bodyOf> } {
  const error = asSluiceError(thrown)
  return { status: ERROR_STATUS[error.code].status, error: bodyOf(error) }
}

function bodyOf({ message, code, param }: SluiceError) {
  return { message, type: ERROR_STATUS[code].type, code, param }
}

/** For a path that no route has; `paths` are those that there are. */
export function unknownRoute(paths: readonly string[]): RequestHandler {
  const known = paths.map((path) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`))
  const isKnown = (path: string) => known.some((pattern) => pattern.test(path))
  return (request) => {
    const { path } = request
    throw new SluiceError(
      'unknown_route',
      `No such call: ${request.method} ${path}.${hintFor(path, isKnown)}`,
    )
  }
}

/** What somebody meant who asked for an unknown path. */
function hintFor(path: string, isKnown: (path: string) => boolean): string {
  if (isKnown(`/v1${path}`)) return ' The base URL ends with /v1.'
  if (path.startsWith('/v1/v1/')) return ' The base URL has /v1 already: the path needs no second one.'
  if (/\/(videos?|images?)\/generations\/?$|text-to-video/.test(path))
    return ' A video is submitted with POST /v1/videos.'
  if (path.length > 1 && path.endsWith('/') && isKnown(path.slice(0, -1)))
    return ' The path has no slash at its end.'
  return ' /docs lists all calls.'
}

/** A parser's message; it quotes the body, which may be a file. */
function readable(message: string): string {
  return isText(message) ? message : 'it is no JSON text.'
}

function asSluiceError(thrown: unknown): SluiceError {
  if (thrown instanceof SluiceError) return thrown
  if (thrown instanceof multer.MulterError) return fromMulter(thrown)
  if (thrown instanceof StoreUnavailableError)
    return new SluiceError('unavailable', 'The stored files cannot be reached. Please try again.')
  return (
    fromBodyParser(thrown) ??
    new SluiceError('internal_error', 'Something went wrong on our side. It was logged; please try again.')
  )
}

const FORM_TOO_LARGE: ReadonlySet<string> = new Set([
  'LIMIT_FILE_SIZE',
  'LIMIT_FIELD_VALUE',
  'LIMIT_PART_COUNT',
  'LIMIT_FIELD_COUNT',
  'LIMIT_FIELD_KEY',
])

function fromMulter(error: multer.MulterError): SluiceError {
  const field = error.field ?? null
  const subject = field ?? 'The form'
  if (FORM_TOO_LARGE.has(error.code))
    return new SluiceError('body_too_large', `${subject}: ${error.message}.`, field)
  if (error.code === 'LIMIT_UNEXPECTED_FILE')
    return new SluiceError('unknown_parameter', `${subject} is a file: this field takes none.`, field)
  return new SluiceError('unknown_parameter', `${subject}: ${error.message}.`, field)
}

const BODY_PARSER_CODES: Record<string, ErrorCode> = {
  'entity.parse.failed': 'invalid_json',
  'entity.too.large': 'body_too_large',
  'encoding.unsupported': 'unsupported_media_type',
  'charset.unsupported': 'unsupported_media_type',
  'request.aborted': 'invalid_json',
  'request.size.invalid': 'invalid_json',
  'entity.verify.failed': 'invalid_json',
}

/** Errors of express itself: bodies it can't read, paths it can't decode, ranges a file does not have. */
function fromBodyParser(thrown: unknown): SluiceError | null {
  if (!(thrown instanceof Error)) return null
  const { type, status } = thrown as Error & { type?: unknown; status?: unknown }
  const code = typeof type === 'string' ? BODY_PARSER_CODES[type] : undefined
  if (code === 'body_too_large') return new SluiceError(code, 'The request body is too large.')
  if (code === 'invalid_json')
    return new SluiceError(code, `The request body could not be read: ${readable(thrown.message)}`)
  if (code !== undefined) return new SluiceError(code, thrown.message)
  if (status === 416) return new SluiceError('range_not_satisfiable', 'The file has no such range.', 'Range')
  if (thrown instanceof URIError)
    return new SluiceError('invalid_value', 'The path is not valid: allowed is UTF-8, percent-encoded.')
  if (status === 400)
    return new SluiceError('invalid_value', `The request could not be read: ${thrown.message}.`)
  if (status === 404) return new SluiceError('not_found', 'No such file.')
  return null
}
