import { setTimeout as delay } from 'node:timers/promises'

/** Waits between tries, doubled from `firstMs` up to `lastMs`, spread by a fifth so that many workers do not knock together. */
export class Backoff {
  readonly #firstMs: number
  readonly #lastMs: number
  #nextMs: number

  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs
    this.#lastMs = lastMs
    this.#nextMs = firstMs
  }

  /** Waits; returns at once, and early, when the signal is aborted. */
  async wait(signal?: AbortSignal): Promise<void> {
    const waitMs = this.#nextMs * (0.9 + Math.random() * 0.2)
    this.#nextMs = Math.min(this.#nextMs * 2, this.#lastMs)
    await delay(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => {})
  }

  reset(): void {
    this.#nextMs = this.#firstMs
  }
}
