import {
  type GroupedReport,
  groupAnswerSchema,
  type Heartbeat,
  type HeartbeatAnswer,
  heartbeatAnswerSchema,
  type Report,
  type ReportAnswer,
  reportAnswerSchema,
  WORKER_ID_IN_USE,
} from '@sluice/shared/attempt-contract'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Logger } from 'pino'
import { z } from 'zod'
import { Outage } from '../outage.ts'
import { parseJson } from '../parse-json.ts'

/**
 * No answer, or one that means "later" (401, 403, 408, 429, 5xx, or a 4xx that is not the API's own word on
 * the request, such as a proxy's): the same request may be sent again.
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

/** Whether the same request succeeds once a person has mended the token. */
export function isTokenRefused(error: unknown): boolean {
  return error instanceof ApiUnavailableError && TOKEN_STATUS.includes(error.status ?? 0)
}

/** The API will never accept this request, and says so: a 4xx with the API's own error. */
export class ReportRefusedError extends Error {
  override name = 'ReportRefusedError'
}

/** Another live process has this worker's id: it has to take another. */
export class WorkerIdInUseError extends Error {
  override name = 'WorkerIdInUseError'
}

/** A 2xx whose body is outside the contract: the report arrived, but its answer is unknown. */
class ApiAnswerError extends Error {
  override name = 'ApiAnswerError'
}

/** A token that is not a worker's (403) is mended by a person, as one that is unknown (401). */
const TOKEN_STATUS = [401, 403]
const LATER_STATUS = [...TOKEN_STATUS, 408, 429]

/** What an API that refuses says. */
const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) })
/** Errors of the API that say nothing of the request: a wrong address, or the wrong token. */
const MISDIRECTED = ['unknown_route', 'method_not_allowed', 'insufficient_scope']

/**
 * Speaks the attempt contract with the API. Every call throws ApiUnavailableError, ReportRefusedError,
 * WorkerIdInUseError or ApiAnswerError.
 */
export class ReportClient {
  readonly #apiUrl: string
  readonly #token: string
  readonly #away: Outage
  readonly #tokenRefused: Outage
  readonly #refused: Outage

  constructor(apiUrl: string, token: string, log: Logger) {
    this.#apiUrl = apiUrl
    this.#token = token
    const about = { api: apiUrl, setting: 'SLUICE_API_URL' }
    this.#away = new Outage(log, {
      away: 'the API does not answer; it is tried again until it does',
      back: 'the API answers again',
      about,
    })
    this.#tokenRefused = new Outage(log, {
      away: `${apiUrl} refuses this worker token: set SLUICE_WORKER_TOKEN to one it knows; trying again`,
      back: 'the worker token is accepted again',
      about: { setting: 'SLUICE_WORKER_TOKEN' },
    })
    this.#refused = new Outage(log, {
      away: 'the API refuses what this worker says of itself: it gets no videos',
      back: 'the API accepts what this worker says of itself',
    })
  }

  report(video: string, fence: number, report: Report, signal?: AbortSignal): Promise<ReportAnswer> {
    const path = `/internal/attempts/${encodeURIComponent(video)}/${fence}`
    return this.#post(path, report, { schema: reportAnswerSchema, waitMs: TIME_LIMITS.api.reportMs, signal })
  }

  /** The answer to each report, or the error that it would have thrown alone, in order. */
  async reportGroup(reports: readonly GroupedReport[]): Promise<(ReportAnswer | Error)[]> {
    const path = '/internal/reports'
    const expected = { schema: groupAnswerSchema, waitMs: TIME_LIMITS.api.reportMs, signal: undefined }
    const { answers } = await this.#post(path, { reports }, expected)
    if (answers.length !== reports.length)
      throw new ApiAnswerError(`POST ${path}: ${answers.length} answers to ${reports.length} reports`)
    return answers.map((answer) =>
      'status' in answer ? failureOf(path, answer.status, JSON.stringify(answer)) : answer,
    )
  }

  /** Says once in the log that the API is away or refuses the token, and that it is back. */
  async heartbeat(heartbeat: Heartbeat, signal?: AbortSignal): Promise<HeartbeatAnswer> {
    const expected = { schema: heartbeatAnswerSchema, waitMs: TIME_LIMITS.api.heartbeatMs, signal }
    try {
      const answer = await this.#post('/internal/heartbeat', heartbeat, expected)
      this.#away.end()
      this.#tokenRefused.end()
      this.#refused.end()
      return answer
    } catch (error) {
      // A call that the worker itself broke off says nothing about the API.
      if (signal?.aborted !== true) this.#noteFailure(error)
      throw error
    }
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
    if (status < 200 || status > 299) throw failureOf(path, status, text)
    const parsed = schema.safeParse(parseJson(text))
    if (!parsed.success)
      throw new ApiAnswerError(
        `POST ${path}: HTTP ${status} with an answer outside the contract: ${parsed.error.message}`,
      )
    return parsed.data
  }

  #noteFailure(error: unknown): void {
    if (isTokenRefused(error)) this.#tokenRefused.begin(error)
    if (error instanceof ReportRefusedError) this.#refused.begin(error)
    if (error instanceof ApiUnavailableError && !isTokenRefused(error)) this.#away.begin(error)
    else this.#away.end()
  }
}

/** The error for an answer that is no 2xx. */
function failureOf(path: string, status: number, text: string): Error {
  if (status >= 500 || LATER_STATUS.includes(status))
    return new ApiUnavailableError(`POST ${path}: HTTP ${status}`, status)
  const refusal = errorSchema.safeParse(parseJson(text)).data?.error
  if (refusal?.code === WORKER_ID_IN_USE) return new WorkerIdInUseError(refusal.message)
  const problem = `POST ${path}: HTTP ${status} ${text.slice(0, 500)}`
  const isRefused = refusal !== undefined && !MISDIRECTED.includes(refusal.code)
  return isRefused ? new ReportRefusedError(problem) : new ApiUnavailableError(problem, status)
}
