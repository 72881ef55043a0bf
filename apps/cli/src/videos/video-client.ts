import { pause } from '@sluice/shared/pause'
import type { Connection } from '../connection/find-connection.ts'
import { ApiError, type ApiRequest, HttpClient, readBody } from '../connection/http-client.ts'
import { saveBody } from './save-body.ts'
import { type Quote, quoteSchema, type Video, type VideoRequest, videoSchema } from './video.ts'

export interface Answer {
  video: Video
  /** When to ask again, as the API wishes; milliseconds. */
  pollAfterMs: number
}

export interface VideoClientTimings {
  /** How long a call that fails in passing is repeated. */
  patienceMs: number
  /** Between two tries. */
  againMs: number
}

const TIMINGS: VideoClientTimings = { patienceMs: 60_000, againMs: 1_000 }
const POLL_MS = { default: 1_000, min: 50, max: 30_000 } as const
/** The longest timer that Node has: a download may take as long as it needs. */
const DOWNLOAD_MS_MAX = 2 ** 31 - 1

/**
 * The calls that make and follow a video, each repeated for a minute while the API cannot answer. Throw
 * ApiError, and the reason of `signal` once that is aborted.
 */
export class VideoClient {
  readonly #http: HttpClient
  readonly #signal: AbortSignal
  readonly #timings: VideoClientTimings

  constructor(connection: Connection, signal: AbortSignal, timings: VideoClientTimings = TIMINGS) {
    this.#http = new HttpClient(connection, signal)
    this.#signal = signal
    this.#timings = timings
  }

  /** Creates one video, however often the call has to be repeated. */
  create(request: VideoRequest, idempotencyKey: string): Promise<Answer> {
    return this.#video('/videos', {
      method: 'POST',
      body: request,
      headers: { 'idempotency-key': idempotencyKey },
    })
  }

  /** What the video would cost; nothing is made. */
  quote(request: VideoRequest): Promise<Quote> {
    return this.#patiently(() =>
      this.#http.call(quoteSchema, '/videos/quote', { method: 'POST', body: request }),
    )
  }

  retrieve(id: string): Promise<Answer> {
    return this.#video(videoPath(id))
  }

  cancel(id: string): Promise<Answer> {
    return this.#video(`${videoPath(id)}/cancel`, { method: 'POST' })
  }

  /** Writes the MP4 to `path`, which appears whole or not at all. Returns its size in bytes. */
  download(id: string, path: string): Promise<number> {
    return this.#patiently(async () =>
      saveBody(await this.#http.send(`${videoPath(id)}/content`, { answerMsMax: DOWNLOAD_MS_MAX }), path),
    )
  }

  #video(path: string, request: ApiRequest = {}): Promise<Answer> {
    return this.#patiently(async () => {
      const response = await this.#http.send(path, request)
      return {
        video: await readBody(response, videoSchema),
        pollAfterMs: pollAfter(response.headers.get('openai-poll-after-ms')),
      }
    })
  }

  async #patiently<T>(call: () => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + this.#timings.patienceMs
    for (;;) {
      try {
        return await call()
      } catch (error) {
        this.#signal.throwIfAborted()
        if (!(error instanceof ApiError) || !error.isPassing || performance.now() >= giveUpAt) throw error
        await pause(this.#timings.againMs, this.#signal)
        this.#signal.throwIfAborted()
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
