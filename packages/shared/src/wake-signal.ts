/** Wakes one waiter. A `wake()` while nobody waits is remembered, so no wake-up is lost. */
export class WakeSignal {
  #isSet = false
  #resume: (() => void) | undefined

  wake(): void {
    this.#isSet = true
    this.#resume?.()
  }

  /** Resolves at the next `wake()`, or after `waitMs`. */
  async wait(waitMs: number): Promise<void> {
    if (!this.#isSet) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs)
        this.#resume = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#isSet = false
    this.#resume = undefined
  }
}
