import { pause } from '@sluice/shared/pause'

/** What an SDK does by itself, and a caller on top of it: a call is repeated until somebody answers it. */
const TRY_MS_MAX = 10_000
const AGAIN_MS = 250

export interface ClientAnswer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: the campaign reads whatever the API answered
  body: any
}

/** A customer's or operator's connection, as patient as a caller who wants the answer in the end. */
export class Client {
  readonly #origin: string
  readonly #key: string
  /** Answers that were a 5xx other than 503, by call, with how many: the service must not give any. */
  readonly faults = new Map<string, number>()

  constructor(origin: string, key: string) {
    this.#origin = origin
    this.#key = key
  }

  /** One try. Status 0 = no answer. */
  async once(method: string, path: string, body?: unknown, idempotencyKey?: string): Promise<ClientAnswer> {
    try {
      const response = await fetch(this.#origin + path, {
        method,
        headers: {
          authorization: `Bearer ${this.#key}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TRY_MS_MAX),
      })
      const text = await response.text()
      if (response.status >= 500 && response.status !== 503) {
        const fault = `${response.status} ${method} ${path.replaceAll(/video_\w+/g, '{id}')}: ${text.slice(0, 200)}`
        this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1)
      }
      return { status: response.status, body: text === '' ? null : JSON.parse(text) }
    } catch {
      return { status: 0, body: null }
    }
  }

  /** Repeats while nobody answers, or the answer is a 5xx or 429. Throws after `withinMs`. */
  async call(
    method: string,
    path: string,
    options: { body?: unknown; idempotencyKey?: string; withinMs?: number } = {},
  ): Promise<ClientAnswer> {
    const { body, idempotencyKey, withinMs = 120_000 } = options
    const deadline = performance.now() + withinMs
    for (;;) {
      const answer = await this.once(method, path, body, idempotencyKey)
      if (answer.status !== 0 && answer.status < 500 && answer.status !== 429) return answer
      if (performance.now() > deadline)
        throw new Error(`${method} ${path}: not answered within ${withinMs} ms, last ${answer.status}`)
      await pause(AGAIN_MS)
    }
  }

  /** The bytes of a video's file, or null when it has none (yet, or any more). Repeats as `call`. */
  async content(id: string, withinMs = 60_000): Promise<Buffer | null> {
    const deadline = performance.now() + withinMs
    for (;;) {
      const answer = await this.#contentOnce(id)
      if (answer !== 'again') return answer
      if (performance.now() > deadline)
        throw new Error(`content of ${id}: not answered within ${withinMs} ms`)
      await pause(AGAIN_MS)
    }
  }

  async #contentOnce(id: string): Promise<Buffer | null | 'again'> {
    try {
      const response = await fetch(`${this.#origin}/v1/videos/${id}/content`, {
        headers: { authorization: `Bearer ${this.#key}` },
        signal: AbortSignal.timeout(TRY_MS_MAX),
      })
      const bytes = Buffer.from(await response.arrayBuffer())
      if (response.ok) return bytes
      return response.status >= 500 || response.status === 429 ? 'again' : null
    } catch {
      return 'again'
    }
  }
}
