import { z } from 'zod'
import type { Connection } from './find-connection.ts'

/** A call whose answer takes longer fails; of a download, what comes before its first byte. */
const ANSWER_MS_MAX = 30_000
/** A call that takes longer than this says what it waits for. */
const PATIENCE_MS = 1_000
/** What fetch says when no byte of the request has left this machine. */
const NEVER_SENT = ['bad port', 'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']

const errorSchema = z.object({
  error: z.object({ message: z.string(), code: z.string().nullish(), param: z.string().nullish() }),
})

/** The API refused a call, could not be reached, or broke off its answer; the message says which. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** The HTTP status, or 0 when there was no complete answer. */
  readonly status: number
  readonly code: string | null

  constructor(message: string, answer: { status: number; code: string | null }, cause?: unknown) {
    super(message, { cause })
    this.status = answer.status
    this.code = answer.code
  }

  /** True when the API cannot have heard of the call. */
  get isNeverSent(): boolean {
    return this.status === 0 && NEVER_SENT.includes(reasonOf(this.cause))
  }

  /**
   * True when the same call may well succeed soon: the API is restarting, or asks the client to slow down.
   */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

/** A call without a complete answer. `cause` is what fetch or a stream threw. */
export function brokenCall(message: string, cause?: unknown): ApiError {
  return new ApiError(message, { status: 0, code: null }, cause)
}

export interface ApiRequest {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Sent as JSON. */
  body?: object
  headers?: Record<string, string>
  /** `file`: the body may take as long as it moves, and is for the caller to watch. Default `whole`. */
  answer?: 'whole' | 'file'
}

export interface HttpClientOptions {
  /** Ends every call in progress. */
  signal?: AbortSignal
  /** Gets a line for the person who waits. */
  notice?: ((line: string) => void) | undefined
}

/** The command line's calls to the API, each sent once. */
export class HttpClient {
  readonly #connection: Connection
  readonly #options: HttpClientOptions

  constructor(connection: Connection, options: HttpClientOptions = {}) {
    this.#connection = connection
    this.#options = options
  }

  /** The answer to a request, when its status is 2xx. `path` follows /v1. Throws ApiError. */
  async send(path: string, request: ApiRequest = {}): Promise<Response> {
    const { baseUrl, key } = this.#connection
    const { method = 'GET', body, headers, answer = 'whole' } = request
    const { signal, notice } = this.#options
    const late = new AbortController()
    const limit = setTimeout(
      () => late.abort(new Error(`no answer within ${ANSWER_MS_MAX / 1_000} s`)),
      ANSWER_MS_MAX,
    ).unref()
    const patience = setTimeout(
      () =>
        notice?.(`waiting for an answer to ${method} ${baseUrl}${path}, at most ${ANSWER_MS_MAX / 1_000} s`),
      PATIENCE_MS,
    )
    const response = await fetch(baseUrl + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
    })
      .catch((error: unknown) => {
        throw brokenCall(
          `${baseUrl} cannot be reached (${reasonOf(error)}): is the service running? See "npx sluice doctor"`,
          error,
        )
      })
      .finally(() => clearTimeout(patience))
    if (answer === 'file') clearTimeout(limit)
    if (!response.ok) throw await readRefusal(response)
    return response
  }

  /** As `send`, and returns the body as `schema` parses it. */
  async call<S extends z.ZodType>(schema: S, path: string, request: ApiRequest = {}): Promise<z.output<S>> {
    return readBody(await this.send(path, request), schema)
  }
}

/** The JSON body of an answer, as `schema` parses it. Throws ApiError when it breaks off or does not fit. */
export async function readBody<S extends z.ZodType>(response: Response, schema: S): Promise<z.output<S>> {
  const body: unknown = await response.json().catch((error: unknown) => {
    throw brokenCall(`${response.url} broke off its answer`, error)
  })
  const parsed = schema.safeParse(body)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new ApiError(
      `${response.url} did not answer as expected (${issue?.path.join('.')}: ${issue?.message})`,
      { status: response.status, code: 'bad_answer' },
    )
  }
  return parsed.data
}

/** What fetch or a stream says went wrong: the system's code when there is one. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause)
}

async function readRefusal(response: Response): Promise<ApiError> {
  const { status } = response
  const text = await response.text().catch(() => '')
  const parsed = errorSchema.safeParse(parseJson(text))
  if (!parsed.success) {
    return new ApiError(`the API answered ${status} ${text.slice(0, 200)}`.trim(), { status, code: null })
  }
  const { message, param = null, code = null } = parsed.data.error
  const field = param === null || message.includes(param) ? '' : ` (${param})`
  return new ApiError(`${message}${field} [${status}${code === null ? '' : ` ${code}`}]`, { status, code })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
