import type { PublicVideo } from '@sluice/shared/public-video'
import { noteConnection } from './connection.ts'
import { readKey } from './key-store.ts'
import type { VideoContent, VideoRequest, VideoVariant } from './video.ts'

/** Without an answer for this long the API counts as unreachable. Every call of the page is faster. */
const ANSWER_MS_MAX = 15_000
/** The poll interval when an answer names none. */
export const POLL_MS = 1_000

/** The API refused a call: `{error: {message, type, code, param}}` with its HTTP status. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string | null
  /** The request field at fault, or null. */
  readonly param: string | null

  constructor(status: number, message: string, code: string | null, param: string | null) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.param = param
  }
}

/** No answer, or a proxy's answer (502, 503, 504) in place of the API's. The call is worth repeating. */
export class UnreachableError extends Error {
  constructor(cause: unknown) {
    super('The service does not answer. Trying again.', { cause })
    this.name = 'UnreachableError'
  }
}

export interface Polled<T> {
  body: T
  /** Milliseconds until the next poll, as the API asks for in `openai-poll-after-ms`. */
  pollAfterMs: number
}

export interface Credits {
  balance: { amount: string; currency: string }
}

/** A model of `GET /v1/models`. */
export interface Model {
  id: string
  description: string
  is_default: boolean
  is_available: boolean
  alias_of?: string
  sizes: string[]
}

/** `GET /v1/videos`, newest first. */
export function listVideos(limit: number, signal: AbortSignal): Promise<Polled<{ data: PublicVideo[] }>> {
  return call('GET', `/v1/videos?limit=${limit}&order=desc`, { signal })
}

/** `GET /v1/videos/{id}` */
export function getVideo(id: string, signal: AbortSignal): Promise<Polled<PublicVideo>> {
  return call('GET', videoPath(id), { signal })
}

/** `POST /v1/videos`. A repeat with the same `idempotencyKey` makes no second video. */
export function createVideo(request: VideoRequest, idempotencyKey: string): Promise<Polled<PublicVideo>> {
  return call('POST', '/v1/videos', { body: request, headers: { 'idempotency-key': idempotencyKey } })
}

/** `POST /v1/videos/{id}/cancel` */
export function cancelVideo(id: string): Promise<Polled<PublicVideo>> {
  return call('POST', `${videoPath(id)}/cancel`, {})
}

/** `DELETE /v1/videos/{id}` */
export function deleteVideo(id: string): Promise<Polled<{ id: string; deleted: boolean }>> {
  return call('DELETE', videoPath(id), {})
}

/** `GET /v1/videos/{id}/content`: a short-lived signed URL of the bytes, so that no URL contains the key. */
export function getContent(
  id: string,
  variant: VideoVariant,
  signal?: AbortSignal,
): Promise<Polled<VideoContent>> {
  return call('GET', `${videoPath(id)}/content?variant=${variant}`, signal === undefined ? {} : { signal })
}

/** `GET /v1/models` */
export function listModels(signal: AbortSignal): Promise<Polled<{ data: Model[] }>> {
  return call('GET', '/v1/models', { signal })
}

/** `GET /v1/credits` */
export function getCredits(signal: AbortSignal): Promise<Polled<Credits>> {
  return call('GET', '/v1/credits', { signal })
}

function videoPath(id: string): string {
  return `/v1/videos/${encodeURIComponent(id)}`
}

interface CallOptions {
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** Throws ApiError, UnreachableError, or the reason of `options.signal`. */
async function call<T>(method: string, path: string, options: CallOptions): Promise<Polled<T>> {
  const { response, text } = await send(method, path, options)
  const body = parseJson(text)
  if (!response.ok) throw refusalOf(response.status, body)
  noteConnection('connected')
  // The API itself serves the page, so the two always agree on the shape.
  return { body: body as T, pollAfterMs: readPollAfter(response.headers) }
}

async function send(
  method: string,
  path: string,
  options: CallOptions,
): Promise<{ response: Response; text: string }> {
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers }
  const { key } = readKey()
  if (key !== null) headers.authorization = `Bearer ${key}`
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  const timeout = AbortSignal.timeout(ANSWER_MS_MAX)
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]),
      cache: 'no-store',
    })
    return { response, text: await response.text() }
  } catch (error) {
    if (options.signal?.aborted === true) throw error
    noteConnection('reconnecting')
    throw new UnreachableError(error)
  }
}

/** The error that stands for a status other than 2xx. */
function refusalOf(status: number, body: unknown): ApiError | UnreachableError {
  const refusal = readRefusal(status, body)
  if (refusal === null && status >= 502 && status <= 504) {
    noteConnection('reconnecting')
    return new UnreachableError(`status ${status}`)
  }
  noteConnection('connected')
  return refusal ?? new ApiError(status, `The service answered ${status}.`, null, null)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function readPollAfter(headers: Headers): number {
  const pollAfterMs = Number(headers.get('openai-poll-after-ms') ?? Number.NaN)
  return Number.isFinite(pollAfterMs) && pollAfterMs > 0 ? Math.max(pollAfterMs, 100) : POLL_MS
}

function readRefusal(status: number, body: unknown): ApiError | null {
  if (typeof body !== 'object' || body === null || !('error' in body)) return null
  const { error } = body
  if (typeof error !== 'object' || error === null) return null
  const field = (name: string): string | null => {
    const value = Object.entries(error).find(([entry]) => entry === name)?.[1]
    return typeof value === 'string' && value !== '' ? value : null
  }
  return new ApiError(
    status,
    field('message') ?? `The service answered ${status}.`,
    field('code'),
    field('param'),
  )
}
