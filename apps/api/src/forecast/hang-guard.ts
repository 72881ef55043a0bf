import { within } from '@sluice/shared/time-limit'

/** Work took longer than it may, or would have waited behind such work. */
export class HangsError extends Error {
  override readonly name = 'HangsError'
}

/**
 * Runs work that waits for the same things: none is waited for longer than `limitMs`. While one that was
 * given up is still under way, others would wait in vain too, so they are told at once; `againMs` after its
 * start one is tried again.
 */
export class HangGuard {
  readonly #limitMs: number
  readonly #againMs: number
  /** What was given up last and is still under way. */
  #hanging: { work: Promise<unknown>; startedAtMs: number } | null = null

  constructor({ limitMs, againMs }: { limitMs: number; againMs: number }) {
    this.#limitMs = limitMs
    this.#againMs = againMs
  }

  /** The result of `work`. Throws what it throws, or HangsError. */
  run<T>(start: () => Promise<T>): Promise<T> {
    const startedAtMs = performance.now()
    const hanging = this.#hanging
    if (hanging !== null && startedAtMs < hanging.startedAtMs + this.#againMs)
      return Promise.reject(new HangsError('what was asked before is not answered yet'))
    const work = start()
    return within(this.#limitMs, work, () => {
      this.#noteHanging(work, startedAtMs)
      return new HangsError(`not answered within ${this.#limitMs} ms`)
    })
  }

  #noteHanging(work: Promise<unknown>, startedAtMs: number): void {
    this.#hanging = { work, startedAtMs }
    const ended = () => {
      if (this.#hanging?.work === work) this.#hanging = null
    }
    work.then(ended, ended)
  }
}
