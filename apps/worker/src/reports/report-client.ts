import {
  type Heartbeat,
  type HeartbeatAnswer,
  heartbeatAnswerSchema,
  type Report,
  type ReportAnswer,
  reportAnswerSchema,
} from '@sluice/shared/attempt-contract'
import type { Logger } from 'pino'
import { z } from 'zod'
import { parseJson } from '../parse-json.ts'

/**
 * No answer, or one that means "later" (401, 408, 429, 5xx, or a 4xx that is not the API's own word on the
 * request, such as a proxy's): the same request may be sent again.
 */
export class ApiUnavailableError extends Error {
  override name = 'ApiUnavailableError'
  /** Undefined when no answer came at all. */
  readonly status: number | undefined

  constructor(message: string, status: number | undefined, cause?: unknown) {
    super(message, { cause })
    this.status = status
  }
}

/** The API will never accept this request, and says so: a 4xx with the API's own error. */
export class ReportRefusedError extends Error {
  override name = 'ReportRefusedError'
}

/** A 2xx whose body is outside the contract: the report arrived, but its answer is unknown. */
class ApiAnswerError extends Error {
  override name = 'ApiAnswerError'
}

const apiErrorSchema = z.object({ error: z.object({ code: z.string() }) })
/** Errors of the API that say nothing of the request: a wrong address, or the wrong token. */
const MISDIRECTED = ['unknown_route', 'method_not_allowed', 'insufficient_scope']

function isRefusal(answer: string): boolean {
  const parsed = apiErrorSchema.safeParse(parseJson(answer))
  return parsed.success && !MISDIRECTED.includes(parsed.data.error.code)
}

const ANSWER_WAIT_MS = 10_000
const HEARTBEAT_WAIT_MS = 4_000
const LATER_STATUS = [401, 408, 429]
const TOKEN_LOG_EVERY_MS = 30_000

/**
 * Speaks the attempt contract with the API. Every call throws ApiUnavailableError, ReportRefusedError or
 * ApiAnswerError.
 */
export class ReportClient {
  readonly #apiUrl: string
  readonly #token: string
  readonly #log: Logger
  #tokenLoggedAt = Number.NEGATIVE_INFINITY

  constructor(apiUrl: string, token: string, log: Logger) {
    this.#apiUrl = apiUrl
    this.#token = token
    this.#log = log
  }

  report(video: string, fence: number, report: Report, signal?: AbortSignal): Promise<ReportAnswer> {
    const path = `/internal/attempts/${encodeURIComponent(video)}/${fence}`
    return this.#post(path, report, { schema: reportAnswerSchema, waitMs: ANSWER_WAIT_MS, signal })
  }

  heartbeat(heartbeat: Heartbeat, signal?: AbortSignal): Promise<HeartbeatAnswer> {
    const answer = { schema: heartbeatAnswerSchema, waitMs: HEARTBEAT_WAIT_MS, signal }
    return this.#post('/internal/heartbeat', heartbeat, answer)
  }

  async #post<T>(
    path: string,
    body: unknown,
    { schema, waitMs, signal }: { schema: z.ZodType<T>; waitMs: number; signal: AbortSignal | undefined },
  ): Promise<T> {
    const timeout = AbortSignal.timeout(waitMs)
    let status: number
    let text: string
    try {
      const response = await fetch(`${this.#apiUrl}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      })
      status = response.status
      text = await response.text()
    } catch (error) {
      throw new ApiUnavailableError(`POST ${path}: no answer`, undefined, error)
    }
    if (status === 401) this.#logRefusedToken()
    if (status >= 500 || LATER_STATUS.includes(status))
      throw new ApiUnavailableError(`POST ${path}: HTTP ${status}`, status)
    if (status < 200 || status > 299) {
      const problem = `POST ${path}: HTTP ${status} ${text.slice(0, 500)}`
      throw isRefusal(text) ? new ReportRefusedError(problem) : new ApiUnavailableError(problem, status)
    }
    const parsed = schema.safeParse(parseJson(text))
    if (!parsed.success)
      throw new ApiAnswerError(
        `POST ${path}: HTTP ${status} with an answer outside the contract: ${parsed.error.message}`,
      )
    return parsed.data
  }

  #logRefusedToken(): void {
    if (performance.now() - this.#tokenLoggedAt < TOKEN_LOG_EVERY_MS) return
    this.#tokenLoggedAt = performance.now()
    this.#log.error(
      { setting: 'SLUICE_WORKER_TOKEN' },
      `${this.#apiUrl} refuses this worker token (HTTP 401): set SLUICE_WORKER_TOKEN to one it knows; trying again`,
    )
  }
}
