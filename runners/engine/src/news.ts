import type { SendReply } from '@sluice/runner/reply-channel'
import type { RunnerReply } from '@sluice/shared/runner-protocol'

type ProgressReply = Extract<RunnerReply, { type: 'progress' }>
export type ProgressWords = Omit<ProgressReply, 'type' | 'id'>

/** A worker takes a runner for stalled that says nothing. */
const NEWS_MS = 800

/** How far one video is: said when it changes, and again while it does not. */
export class Progress {
  readonly #id: string
  readonly #send: SendReply
  readonly #timer: NodeJS.Timeout
  #latest: ProgressWords = { phase: 'encode', step: 0, steps: 1 }

  constructor(id: string, send: SendReply) {
    this.#id = id
    this.#send = send
    this.#timer = setInterval(() => this.#sendLatest(), NEWS_MS)
  }

  say(words: ProgressWords): void {
    this.#latest = words
    this.#timer.refresh()
    this.#sendLatest()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sendLatest(): void {
    this.#send({ type: 'progress', id: this.#id, ...this.#latest })
  }
}
