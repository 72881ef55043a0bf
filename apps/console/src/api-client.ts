import { noteConnection } from './connection.ts'
import { readKey } from './key-store.ts'
import type { Model } from './model.ts'
import type { Video, VideoContent, VideoRequest, VideoVariant } from './video.ts'

/** No answer for this long counts as unreachable: longer than any call the page makes, shorter than a viewer's patience. */
const ANSWER_MS_MAX = 15_000
/** Used when an answer names no poll interval. */
export const POLL_MS = 1_000

/** The API refused: `{error: {message, type, code, param}}` with its HTTP status. */
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

/** Nothing answered, or only a proxy in front of an API that is away. Worth trying again. */
export class UnreachableError extends Error {
  constructor(cause: unknown) {
    super('The service does not answer. Trying again.', { cause })
    this.name = 'UnreachableError'
  }
}

export interface Polled<T> {
  body: T
  /** When the API wants to be asked again (`openai-poll-after-ms`), milliseconds. */
  pollAfterMs: number
}

export interface Credits {
  balance: { amount: string; currency: string }
}

/** `GET /v1/videos`: newest first. */
export function listVideos(limit: number, signal: AbortSignal): Promise<Polled<{ data: Video[] }>> {
  return call('GET', `/v1/videos?limit=${limit}&order=desc`, { signal })
}

/** `GET /v1/videos/{id}` */
export function getVideo(id: string, signal: AbortSignal): Promise<Polled<Video>> {
  return call('GET', videoPath(id), { signal })
}

/** `POST /v1/videos`. The same `idempotencyKey` makes one video, however often it is sent. */
export function createVideo(request: VideoRequest, idempotencyKey: string): Promise<Polled<Video>> {
  return call('POST', '/v1/videos', { body: request, headers: { 'idempotency-key': idempotencyKey } })
}

/** `POST /v1/videos/{id}/cancel` */
export function cancelVideo(id: string): Promise<Polled<Video>> {
  return call('POST', `${videoPath(id)}/cancel`, {})
}

/** `DELETE /v1/videos/{id}` */
export function deleteVideo(id: string): Promise<Polled<{ id: string; deleted: boolean }>> {
  return call('DELETE', videoPath(id), {})
}

/** A short-lived signed URL of the bytes, so that the key never stands in a URL. */
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

async function call<T>(method: string, path: string, options: CallOptions): Promise<Polled<T>> {
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers }
  const { key } = readKey()
  if (key !== null) headers.authorization = `Bearer ${key}`
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  const late = AbortSignal.timeout(ANSWER_MS_MAX)
  let response: Response
  let text: string
  try {
    response = await fetch(path, {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal === undefined ? late : AbortSignal.any([options.signal, late]),
      cache: 'no-store',
    })
    text = await response.text()
  } catch (error) {
    if (options.signal?.aborted === true) throw error
    noteConnection('reconnecting')
    throw new UnreachableError(error)
  }
  const body = parseJson(text)
  if (!response.ok) {
    const refusal = readRefusal(response.status, body)
    if (refusal === null && response.status >= 502 && response.status <= 504) {
      noteConnection('reconnecting')
      throw new UnreachableError(`status ${response.status}`)
    }
    noteConnection('connected')
    throw refusal ?? new ApiError(response.status, `The service answered ${response.status}.`, null, null)
  }
  noteConnection('connected')
  // The page is served by the very API it calls, so their shapes are of one version.
  return { body: body as T, pollAfterMs: readPollAfter(response.headers) }
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
