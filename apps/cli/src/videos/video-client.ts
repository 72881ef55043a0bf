import { createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { Connection } from '../connection/find-connection.ts'
import { type Quote, quoteSchema, type Video, type VideoRequest, videoSchema } from './video.ts'

/** The API answered with an error; `status` is 0 when it could not be reached or broke off. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  readonly code: string | null

  constructor(message: string, status: number, code: string | null, cause?: unknown) {
    super(message, { cause })
    this.status = status
    this.code = code
  }

  /** True when the same request may well succeed soon: the API is restarting, or asks for patience. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

export interface Answer {
  video: Video
  /** When to ask again, as the API wishes (milliseconds). */
  pollAfterMs: number
}

export interface VideoClient {
  /** Creates one video, however often the request has to be repeated. */
  create(request: VideoRequest, idempotencyKey: string): Promise<Answer>
  /** What it would cost; nothing is made. */
  quote(request: VideoRequest): Promise<Quote>
  retrieve(id: string): Promise<Answer>
  cancel(id: string): Promise<Answer>
  /** Writes the MP4 to `path`, which appears whole or not at all. Answers its bytes. */
  download(id: string, path: string): Promise<number>
}

export interface VideoClientTimings {
  /** How long requests that fail in passing are repeated. */
  patienceMs: number
  /** Between two tries. */
  againMs: number
}

export const TIMINGS: VideoClientTimings = { patienceMs: 60_000, againMs: 1_000 }
const POLL_MS = { default: 1_000, min: 50, max: 30_000 } as const
/** No single call but the download waits longer than this for its answer. */
const ANSWER_MS_MAX = 30_000

const errorSchema = z.object({
  error: z.object({ message: z.string(), code: z.string().nullish(), param: z.string().nullish() }),
})

/** The calls the command line makes, each repeated for a minute while the API cannot answer. Aborting `signal` ends them at once. */
export function createVideoClient(
  connection: Connection,
  signal: AbortSignal,
  timings: VideoClientTimings = TIMINGS,
): VideoClient {
  const authorization = `Bearer ${connection.key}`
  const url = (path: string) => `${connection.baseUrl}${path}`

  const patiently = async <T>(call: () => Promise<T>): Promise<T> => {
    const giveUpAt = performance.now() + timings.patienceMs
    for (;;) {
      try {
        return await call()
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof ApiError) || !error.passing || performance.now() >= giveUpAt) throw error
        await delay(timings.againMs, undefined, { signal })
      }
    }
  }

  const request = async (
    path: string,
    init: { method?: string; body?: string; headers?: Record<string, string> },
    waitMs = ANSWER_MS_MAX,
  ) => {
    const bound = AbortSignal.any([signal, AbortSignal.timeout(waitMs)])
    let response: Response
    try {
      response = await fetch(url(path), {
        ...init,
        headers: { authorization, ...init.headers },
        signal: bound,
      })
    } catch (error) {
      throw new ApiError(
        `${connection.baseUrl} cannot be reached (${reason(error)}): is the service running? See "npx sluice doctor"`,
        0,
        null,
        error,
      )
    }
    if (!response.ok) throw await readError(response)
    return response
  }

  const readBody = async <S extends z.ZodType>(
    response: Response,
    schema: S,
    what: string,
  ): Promise<z.output<S>> => {
    const body: unknown = await response.json().catch((error: unknown) => {
      throw new ApiError(`${response.url} broke off its answer`, 0, null, error)
    })
    const parsed = schema.safeParse(body)
    if (!parsed.success) {
      const issue = parsed.error.issues[0]
      throw new ApiError(
        `${response.url} did not answer with a ${what} (${issue?.path.join('.')}: ${issue?.message})`,
        response.status,
        'bad_answer',
      )
    }
    return parsed.data
  }

  const readAnswer = async (response: Response): Promise<Answer> => ({
    video: await readBody(response, videoSchema, 'video'),
    pollAfterMs: pollAfter(response.headers.get('openai-poll-after-ms')),
  })

  const video = (path: string, init: Parameters<typeof request>[1] = {}) =>
    patiently(async () => readAnswer(await request(path, init)))

  return {
    create: (body, idempotencyKey) =>
      video('/videos', {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      }),
    quote: (body) =>
      patiently(async () => {
        const init = {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }
        return readBody(await request('/videos/quote', init), quoteSchema, 'quote')
      }),
    retrieve: (id) => video(`/videos/${encodeURIComponent(id)}`),
    cancel: (id) => video(`/videos/${encodeURIComponent(id)}/cancel`, { method: 'POST' }),
    download: (id, path) =>
      patiently(async () => {
        const response = await request(`/videos/${encodeURIComponent(id)}/content`, {}, 2 ** 31 - 1)
        const part = `${path}.part-${process.pid}`
        try {
          if (response.body === null) throw new Error('no body')
          await pipeline(Readable.fromWeb(response.body as ReadableStream), createWriteStream(part)).catch(
            (error: unknown) => {
              // What the disk says (full, read-only) does not pass; a broken connection does.
              if (
                (error as NodeJS.ErrnoException).syscall === 'write' ||
                (error as NodeJS.ErrnoException).syscall === 'open'
              )
                throw error
              throw new ApiError(`the download broke off (${reason(error)})`, 0, null, error)
            },
          )
          const { size } = await stat(part)
          const announced = response.headers.get('content-length')
          if (announced !== null && Number(announced) !== size) {
            throw new ApiError(`the download has ${size} bytes, ${announced} were announced`, 0, null)
          }
          await rename(part, path)
          return size
        } finally {
          await rm(part, { force: true })
        }
      }),
  }
}

async function readError(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '')
  let body: unknown = null
  try {
    body = JSON.parse(text)
  } catch {}
  const parsed = errorSchema.safeParse(body)
  if (!parsed.success)
    return new ApiError(
      `the API answered ${response.status} ${text.slice(0, 200)}`.trim(),
      response.status,
      null,
    )
  const { message, code, param } = parsed.data.error
  const where = param === null || param === undefined || message.includes(param) ? '' : ` (${param})`
  return new ApiError(
    `${message}${where} [${response.status}${code === null || code === undefined ? '' : ` ${code}`}]`,
    response.status,
    code ?? null,
  )
}

function pollAfter(header: string | null): number {
  const wishedMs = Number(header ?? Number.NaN)
  return Number.isFinite(wishedMs) ? Math.min(Math.max(wishedMs, POLL_MS.min), POLL_MS.max) : POLL_MS.default
}

function reason(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause)
}
