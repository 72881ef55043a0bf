import type { Response } from 'express'

/** One server-sent event. Two events of the same `id` say the same. */
export interface StreamEvent {
  id: string
  name: string
  data: string
  /** Nothing comes after it. */
  isLast: boolean
}

/** How long a browser that lost its stream waits before it connects again. */
const RECONNECT_MS = 2_000

/**
 * `text/event-stream` to one reader. At most one event waits to be sent: a reader too slow for all of them
 * misses those in between, never the last. A comment every `keepAliveEveryMs` keeps proxies from closing a
 * silent stream; a reader that takes nothing for two of these intervals is disconnected.
 */
export class EventStream {
  readonly #response: Response
  #pending: (() => StreamEvent | null) | null = null
  #blockedTicks: number | null = null
  #isEnded = false

  constructor(response: Response, keepAliveEveryMs: number) {
    this.#response = response
    response.status(200).set({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      // nginx would otherwise collect events until its buffer is full.
      'x-accel-buffering': 'no',
    })
    response.on('drain', () => this.#drained())
    const keepAlive = setInterval(() => this.#tick(), keepAliveEveryMs)
    response.once('close', () => {
      clearInterval(keepAlive)
      this.#isEnded = true
      this.#pending = null
    })
    this.#write(`retry: ${RECONNECT_MS}\n\n`)
  }

  /** Sends what `make` returns. It is called when the reader is ready, so that the event is not outdated. */
  offer(make: () => StreamEvent | null): void {
    this.#pending = make
    this.#flush()
  }

  /** Ends the stream without another event: the reader may connect again, to any process. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#pending = null
    this.#response.end()
  }

  #flush(): void {
    if (this.#isEnded || this.#blockedTicks !== null || this.#pending === null) return
    const event = this.#pending()
    this.#pending = null
    if (event === null) return
    this.#write(`event: ${event.name}\nid: ${event.id}\ndata: ${event.data}\n\n`)
    if (event.isLast) this.end()
  }

  #write(text: string): void {
    if (!this.#response.write(text)) this.#blockedTicks ??= 0
  }

  #drained(): void {
    this.#blockedTicks = null
    this.#flush()
  }

  #tick(): void {
    if (this.#blockedTicks === null) {
      // Ended, but the reader has not taken the end itself yet.
      if (this.#isEnded) this.#blockedTicks = 1
      else this.#write(': still here\n\n')
      return
    }
    this.#blockedTicks += 1
    if (this.#blockedTicks > 2) this.#response.destroy()
  }
}
