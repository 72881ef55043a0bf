import { pause } from '@sluice/shared/pause'
import type { Connection } from '../connection/find-connection.ts'
import {
  ApiError,
  type ApiRequest,
  HttpClient,
  type HttpClientOptions,
  readBody,
} from '../connection/http-client.ts'
import { saveBody } from './save-body.ts'
import {
  type Model,
  modelListSchema,
  type Quote,
  quoteSchema,
  type Video,
  type VideoRequest,
  videoSchema,
} from './video.ts'

export interface Answer {
  video: Video
  /** When to ask again, as the API wishes; milliseconds. */
  pollAfterMs: number
}

export interface VideoClientOptions extends HttpClientOptions {
  signal: AbortSignal
  /** Replaces a minute of patience, in tests. */
  timings?: VideoClientTimings | undefined
}

export interface VideoClientTimings {
  /** How long a call that fails in passing is repeated. */
  patienceMs: number
  /** Between two tries. */
  againMs: number
}

const TIMINGS: VideoClientTimings = { patienceMs: 60_000, againMs: 1_000 }
const POLL_MS = { default: 1_000, min: 50, max: 30_000 } as const

/**
 * The calls that make and follow a video, each repeated for a minute while the API cannot answer. Throw
 * ApiError, and the reason of `signal` once that is aborted.
 */
export class VideoClient {
  readonly #http: HttpClient
  readonly #signal: AbortSignal
  readonly #timings: VideoClientTimings
  readonly #notice: (line: string) => void

  constructor(connection: Connection, options: VideoClientOptions) {
    this.#http = new HttpClient(connection, options)
    this.#signal = options.signal
    this.#timings = options.timings ?? TIMINGS
    this.#notice = options.notice ?? (() => undefined)
  }

  /**
   * Creates one video, however often the call has to be repeated. When `stop` is aborted and the API cannot
   * have heard of it, it is not repeated.
   */
  create(request: VideoRequest, idempotencyKey: string, stop: AbortSignal): Promise<Answer> {
    const headers = { 'idempotency-key': idempotencyKey }
    return this.#patiently(() => this.#video('/videos', { method: 'POST', body: request, headers }), stop)
  }

  /** What the video would cost; nothing is made. */
  quote(request: VideoRequest): Promise<Quote> {
    return this.#patiently(() =>
      this.#http.call(quoteSchema, '/videos/quote', { method: 'POST', body: request }),
    )
  }

  /** The models that the key may ask for, aliases included. */
  async models(): Promise<Model[]> {
    const list = await this.#patiently(() => this.#http.call(modelListSchema, '/models'))
    return list.data
  }

  retrieve(id: string): Promise<Answer> {
    return this.#patiently(() => this.#video(videoPath(id)))
  }

  cancel(id: string): Promise<Answer> {
    return this.#patiently(() => this.#video(`${videoPath(id)}/cancel`, { method: 'POST' }))
  }

  /** Writes the MP4 to `path`, which appears whole or not at all. Returns its size in bytes. */
  download(id: string, path: string): Promise<number> {
    return this.#patiently(async () =>
      saveBody(await this.#http.send(`${videoPath(id)}/content`, { answer: 'file' }), path),
    )
  }

  async #video(path: string, request: ApiRequest = {}): Promise<Answer> {
    const response = await this.#http.send(path, request)
    return {
      video: await readBody(response, videoSchema),
      pollAfterMs: pollAfter(response.headers.get('openai-poll-after-ms')),
    }
  }

  async #patiently<T>(call: () => Promise<T>, stop?: AbortSignal): Promise<T> {
    const { patienceMs, againMs } = this.#timings
    const giveUpAt = performance.now() + patienceMs
    const wake = stop === undefined ? this.#signal : AbortSignal.any([this.#signal, stop])
    let isMaybeSent = false
    for (let tries = 1; ; tries += 1) {
      try {
        const result = await call()
        if (tries > 1) this.#notice('it answers again')
        return result
      } catch (error) {
        this.#signal.throwIfAborted()
        if (!(error instanceof ApiError) || !error.isPassing || performance.now() >= giveUpAt) throw error
        isMaybeSent ||= !error.isNeverSent
        if (tries === 1) this.#notice(`${error.message}; trying again for ${patienceMs / 1_000} s`)
        if (stop?.aborted !== true) await pause(againMs, wake)
        else await pause(againMs, this.#signal)
        this.#signal.throwIfAborted()
        if (stop?.aborted === true && !isMaybeSent) throw error
      }
    }
  }
}

function videoPath(id: string): string {
  return `/videos/${encodeURIComponent(id)}`
}

function pollAfter(header: string | null): number {
  const wishedMs = Number(header ?? Number.NaN)
  return Number.isFinite(wishedMs) ? Math.min(Math.max(wishedMs, POLL_MS.min), POLL_MS.max) : POLL_MS.default
}
