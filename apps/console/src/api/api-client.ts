import type { PublicModel } from '@sluice/shared/public-model'
import type { PublicQuote } from '@sluice/shared/public-quote'
import type { PublicVideo } from '@sluice/shared/public-video'
import { noteConnection } from './connection.ts'
import { readKey } from './key-store.ts'
import type { VideoContent, VideoRequest, VideoVariant } from './video.ts'

/** Without an answer for this long the API counts as unreachable. Every call of the page is faster. */
const ANSWER_MS_MAX = 15_000
/** The poll interval when an answer names none. */
export const POLL_MS = 1_000

/** What the API said against a call: `{error: {message, type, code, param}}` with its HTTP status. */
export interface Refusal {
  status: number
  message: string
  code: string | null
  /** The request field at fault, or null. */
  param: string | null
  /** How long the API asks to wait (Retry-After), or null. */
  retryAfterMs: number | null
}

/** The API refused a call. */
export class ApiError extends Error implements Refusal {
  readonly status: number
  readonly code: string | null
  readonly param: string | null
  readonly retryAfterMs: number | null

  constructor({ status, message, code, param, retryAfterMs }: Refusal) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.param = param
    this.retryAfterMs = retryAfterMs
  }
}

/** No answer, or a proxy's answer (502, 503, 504) in place of the API's. The call is worth repeating. */
export class UnreachableError extends Error {
  constructor(cause: unknown) {
    super('The service does not answer.', { cause })
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

/** The key that asks, as `GET /v1/key` answers it. */
export interface OwnKey {
  account_id: string
  name: string
  /** What the key begins with. */
  prefix: string
  scopes: string[]
}

/** A page of `GET /v1/videos`. */
export interface VideoPage {
  data: PublicVideo[]
  has_more: boolean
}

/** `GET /v1/videos`, newest first: the first page, or the one `after` a video. */
export function listVideos(
  { limit, after }: { limit: number; after?: string },
  signal?: AbortSignal,
): Promise<Polled<VideoPage>> {
  const place = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
  return call('GET', `/v1/videos?limit=${limit}&order=desc${place}`, signal === undefined ? {} : { signal })
}

/** `GET /v1/videos/{id}` */
export function getVideo(id: string, signal: AbortSignal): Promise<Polled<PublicVideo>> {
  return call('GET', videoPath(id), { signal })
}

/** `POST /v1/videos`. A repeat with the same `idempotencyKey` makes no second video. */
export function createVideo(request: VideoRequest, idempotencyKey: string): Promise<Polled<PublicVideo>> {
  return call('POST', '/v1/videos', { body: request, headers: { 'idempotency-key': idempotencyKey } })
}

/** `POST /v1/videos/{id}/retry`: a failed or cancelled video once more, exactly as it was. */
export function retryVideo(id: string, idempotencyKey: string): Promise<Polled<PublicVideo>> {
  return call('POST', `${videoPath(id)}/retry`, { headers: { 'idempotency-key': idempotencyKey } })
}

/** `POST /v1/videos/{id}/remix`: everything of a video, its image included, with this sentence and seed. */
export function remixVideo(
  id: string,
  body: { prompt: string; seed: number },
  idempotencyKey: string,
): Promise<Polled<PublicVideo>> {
  return call('POST', `${videoPath(id)}/remix`, { body, headers: { 'idempotency-key': idempotencyKey } })
}

/** `POST /v1/videos/quote`: what a video would cost and how long it would take. Nothing is held. */
export async function quoteVideo(request: VideoRequest, signal: AbortSignal): Promise<PublicQuote> {
  return (await call<PublicQuote>('POST', '/v1/videos/quote', { body: request, signal })).body
}

/** `POST /v1/videos/{id}/cancel` */
export function cancelVideo(id: string): Promise<Polled<PublicVideo>> {
  return call('POST', `${videoPath(id)}/cancel`, {})
}

/** `DELETE /v1/videos/{id}` with `key`. It is sent even when the page is being closed. */
export function deleteVideo(
  id: string,
  key: string | null,
): Promise<Polled<{ id: string; deleted: boolean }>> {
  return call('DELETE', videoPath(id), { key, keepalive: true })
}

/** `GET /v1/videos/{id}/content`: a short-lived signed URL of the bytes, so that no URL contains the key. */
export function getContent(
  id: string,
  variant: VideoVariant,
  signal?: AbortSignal,
): Promise<Polled<VideoContent>> {
  return call('GET', `${videoPath(id)}/content?variant=${variant}`, signal === undefined ? {} : { signal })
}

/** `GET /v1/key`: whose key this is and what it may do; `key` = another one than the one signed in. */
export async function readOwnKey(signal?: AbortSignal, key?: string): Promise<OwnKey> {
  const options = { ...(signal === undefined ? {} : { signal }), ...(key === undefined ? {} : { key }) }
  return (await call<OwnKey>('GET', '/v1/key', options)).body
}

/** `GET /v1/models` */
export function listModels(signal: AbortSignal): Promise<Polled<{ data: PublicModel[] }>> {
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
  /** In place of the key that is signed in. */
  key?: string | null
  keepalive?: boolean
}

/** Throws ApiError, UnreachableError, or the reason of `options.signal`. */
async function call<T>(method: string, path: string, options: CallOptions): Promise<Polled<T>> {
  const { response, text } = await send(method, path, options)
  const body = parseJson(text)
  if (!response.ok) throw refusalOf(response, body)
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
  const key = options.key === undefined ? readKey().key : options.key
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
      keepalive: options.keepalive ?? false,
    })
    return { response, text: await response.text() }
  } catch (error) {
    if (options.signal?.aborted === true) throw error
    noteConnection('reconnecting')
    throw new UnreachableError(error)
  }
}

/** The error that stands for a status other than 2xx. */
function refusalOf({ status, headers }: Response, body: unknown): ApiError | UnreachableError {
  const said = readRefusal(body)
  if (said === null && status >= 502 && status <= 504) {
    noteConnection('reconnecting')
    return new UnreachableError(`status ${status}`)
  }
  noteConnection('connected')
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  return new ApiError({
    status,
    message: said?.message ?? `The service answered ${status}.`,
    code: said?.code ?? null,
    param: said?.param ?? null,
    retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : null,
  })
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

function readRefusal(
  body: unknown,
): { message: string | null; code: string | null; param: string | null } | null {
  if (typeof body !== 'object' || body === null || !('error' in body)) return null
  const { error } = body
  if (typeof error !== 'object' || error === null) return null
  const field = (name: string): string | null => {
    const value = Object.entries(error).find(([entry]) => entry === name)?.[1]
    return typeof value === 'string' && value !== '' ? value : null
  }
  return { message: field('message'), code: field('code'), param: field('param') }
}
