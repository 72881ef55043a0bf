export type Wish = 'cancel' | 'yield'

/** That the worker wants a video stopped, and how. */
export class Interruption {
  readonly #controller = new AbortController()
  #wish: Wish | undefined

  /** Undefined = it goes on. */
  get wish(): Wish | undefined {
    return this.#wish
  }

  /** Aborted by the first wish: it ends the pause that is under way. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The first wish stands, except that a cancel overrules a yield. */
  stop(wish: Wish): void {
    if (this.#wish !== 'cancel') this.#wish = wish
    this.#controller.abort()
  }
}
