import { createWriteStream } from 'node:fs'
import { rename } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { EngineSettings } from '@sluice/shared/engine-settings'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { EngineAwayError } from './engine-error.ts'

/** A request to the engine, as a dialect writes it. */
export interface EngineRequest {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  headers?: Record<string, string>
  /** JSON, or a form, which is sent as multipart. */
  body?: Record<string, unknown> | FormData
}

export interface EngineAnswer {
  method: EngineRequest['method']
  status: number
  /** The JSON of the answer; undefined when it is none. */
  body: unknown
  /** What a person reads of a refusal: never the key. */
  words: string
}

const WORDS_CHARS_MAX = 500
/** No engine says more of a job, or of all its models. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024
/** An hour of 1080p at 4 Mbit/s. */
const VIDEO_BYTES_MAX = 2 * 1024 ** 3

/** Every request to the engine, each with its time limit. What is thrown never shows the URL or the key. */
export class EngineHttp {
  readonly #settings: Pick<EngineSettings, 'url' | 'key'>

  constructor(settings: Pick<EngineSettings, 'url' | 'key'>) {
    this.#settings = settings
  }

  /** The answer, whatever its status. Throws EngineAwayError when there is none in time. */
  async call(request: EngineRequest, limitMs: number = TIME_LIMITS.engine.answerMs): Promise<EngineAnswer> {
    const { method, path, headers, body } = request
    const isForm = body instanceof FormData
    try {
      const response = await fetch(this.#settings.url + path, {
        method,
        // A redirect would turn a POST into a GET, or take the key elsewhere.
        redirect: 'manual',
        headers: {
          ...this.#authorization,
          ...(body === undefined || isForm ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(limitMs),
      })
      return await this.#read(method, response)
    } catch (error) {
      throw new EngineAwayError(`SLUICE_ENGINE_URL: ${whyOf(error, limitMs)}`, { mayPass: true })
    }
  }

  /**
   * Gets a file, which appears only once it is whole. Returns a refusal in place of a file, else null; throws
   * EngineAwayError when it does not get through, and what the disk says.
   */
  async download(path: string, file: string): Promise<EngineAnswer | null> {
    const { silenceMs, wholeMs } = TIME_LIMITS.engine
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(new Error(`no byte came for ${silenceMs} ms`)), silenceMs)
    const signal = AbortSignal.any([silence.signal, AbortSignal.timeout(wholeMs)])
    try {
      // A Sluice whose store is S3 redirects to a signed URL; fetch takes the key along to no other host.
      const response = await fetch(this.#settings.url + path, { headers: this.#authorization, signal })
      if (!response.ok || response.body === null) {
        const refusal = await this.#read('GET', response)
        // A store's refusal shows names and parts of what signs its URLs.
        return response.redirected ? { ...refusal, words: 'where the engine redirects to' } : refusal
      }
      await pipeline(
        Readable.from(watched(response.body, () => timer.refresh())),
        createWriteStream(`${file}.part`),
        { signal },
      )
      await rename(`${file}.part`, file)
      return null
    } catch (error) {
      if (isOfDisk(error)) throw error
      throw new EngineAwayError(`the video did not come whole: ${whyOf(error, wholeMs)}`, { mayPass: true })
    } finally {
      clearTimeout(timer)
    }
  }

  async #read(method: EngineRequest['method'], response: Response): Promise<EngineAnswer> {
    const text = await textOf(response)
    const json = parseJson(text)
    return {
      method,
      status: response.status,
      body: json,
      words: this.#hide(wordsOf(json, text)).slice(0, WORDS_CHARS_MAX),
    }
  }

  get #authorization(): Record<string, string> {
    const { key } = this.#settings
    return key === null ? {} : { authorization: `Bearer ${key}` }
  }

  #hide(text: string): string {
    return hideKey(this.#settings, text)
  }
}

/** The text, which an engine may have written, without the key. */
export function hideKey({ key }: Pick<EngineSettings, 'key'>, text: string): string {
  return key === null ? text : text.replaceAll(key, '***')
}

/** Passes the chunks on, and calls `onChunk` for each. Throws when there is no end to them. */
async function* watched(chunks: AsyncIterable<Uint8Array>, onChunk: () => void) {
  let bytes = 0
  for await (const chunk of chunks) {
    onChunk()
    bytes += chunk.length
    if (bytes > VIDEO_BYTES_MAX) throw new Error(`it is larger than ${VIDEO_BYTES_MAX} bytes`)
    yield chunk
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  if (response.body !== null) {
    for await (const chunk of response.body) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES_MAX) throw new Error('its answer has no end')
      chunks.push(chunk)
    }
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * What a refusal says: `error.message` (OpenAI), `message` (TensorRT-LLM), or FastAPI's `detail`, which is a
 * text, or a list of what is wrong with each field.
 */
function wordsOf(json: unknown, text: string): string {
  const at = (value: unknown, name: string): unknown =>
    typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
  const detail = at(json, 'detail')
  const fields = Array.isArray(detail)
    ? detail
        .map((fault) => `${[at(fault, 'loc')].flat().slice(1).join('.')}: ${String(at(fault, 'msg'))}`)
        .join('; ')
    : detail
  const words = [at(at(json, 'error'), 'message'), at(json, 'message'), fields, at(json, 'error')].find(
    (candidate) => typeof candidate === 'string' && candidate !== '',
  )
  return typeof words === 'string' ? words : text
}

/** Of what `fetch` throws, only the code: its words show the address. */
function whyOf(error: unknown, limitMs: number): string {
  if (error instanceof DOMException && error.name === 'TimeoutError') return `no answer within ${limitMs} ms`
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : undefined
  if (code !== undefined) return `nobody answers there (${code})`
  const words = error instanceof Error ? error.message : String(error)
  return words === 'fetch failed' ? 'nobody answers there' : words
}

function isOfDisk(error: unknown): boolean {
  return (
    error instanceof Error &&
    'syscall' in error &&
    ['open', 'write', 'rename'].includes(String(error.syscall))
  )
}
