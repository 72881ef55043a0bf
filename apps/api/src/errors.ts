/** What can be wrong with what is asked for; thrown anywhere. */
const DOMAIN_ERROR_CODES = [
  'invalid_value',
  'missing_parameter',
  'moderation_refused',
  'max_tokens_too_small',
  'max_cost_too_small',
  'max_price_too_small',
  'invalid_api_key',
  'invalid_signature',
  'insufficient_balance',
  'budget_exceeded',
  'insufficient_scope',
  'model_not_allowed',
  'promises_off',
  'not_found',
  'idempotency_conflict',
  'state_conflict',
  'cannot_be_promised',
  'content_expired',
  'body_too_large',
  'worker_id_in_use',
  'queue_full',
  'too_many_at_once',
  'unavailable',
] as const

/** What can be wrong with a request, or with us, whatever is asked for; thrown by http/ and routes/ only. */
const REQUEST_ERROR_CODES = [
  'invalid_json',
  'invalid_form',
  'unknown_parameter',
  'unsupported_operation',
  'missing_api_key',
  'unknown_route',
  'method_not_allowed',
  'unsupported_media_type',
  'range_not_satisfiable',
  'body_too_slow',
  'rate_limited',
  'internal_error',
] as const

/** Every error that a caller can get. Its HTTP status stands in http/error-status.ts, and only there. */
export const ERROR_CODES = [...DOMAIN_ERROR_CODES, ...REQUEST_ERROR_CODES] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

/** An error the caller can act on: `message` names the field at fault, what was given and what is allowed. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  readonly code: ErrorCode
  /** The field or parameter at fault, or null when it is the request as a whole. */
  readonly param: string | null

  constructor(code: ErrorCode, message: string, param: string | null = null) {
    super(message)
    this.code = code
    this.param = param
  }
}

/** The database is away, full or too slow at this moment: the same call may well succeed a little later. */
export class DatabaseUnavailableError extends SluiceError {
  constructor(cause: Error) {
    super('unavailable', 'The database cannot do this right now. Ask again in a moment.')
    this.cause = cause
  }
}

/** A field whose value is not allowed: "num_frames is 100: allowed is ...". An empty `field` is the body. */
export function invalidValue(field: string, given: unknown, allowed: string): SluiceError {
  return new SluiceError(
    'invalid_value',
    `${field === '' ? 'The body' : field} is ${showGiven(given)}: allowed is ${allowed}.`,
    field || null,
  )
}

const SHOWN_CHARS = 60
/** So much of a text is looked through before it is shown; a longer one is no value of any field. */
const LOOKED_CHARS = 64 * 1024
/** A byte that is no UTF-8, or a control character that no text has. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them
const NO_TEXT = /\ufffd|[\u0001-\u0008\u000e-\u001a]/

/** Whether it can be shown: false for the bytes of a file that were read as text. */
export function isText(given: string): boolean {
  return !NO_TEXT.test(given.slice(0, LOOKED_CHARS))
}

/** A given value as an error message shows it: never longer than a line, whatever was sent. */
export function showGiven(given: unknown): string {
  if (typeof given === 'string') {
    // The bytes of a file in place of text.
    if (!isText(given)) return `no text (${given.length} characters)`
    if (given.length <= SHOWN_CHARS) return JSON.stringify(given)
    const chars = given.length > LOOKED_CHARS ? given.length : [...given].length
    return `${JSON.stringify(given.slice(0, SHOWN_CHARS))}... (${chars} characters)`
  }
  if (given === undefined) return 'missing'
  if (given === null || typeof given !== 'object') return String(given)
  return Array.isArray(given) ? 'a list' : 'an object'
}
