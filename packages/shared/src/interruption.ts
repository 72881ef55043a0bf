/**
 * Ends what is waited for when something has ended for good, such as a connection. Racing each piece of work
 * with one promise instead would keep something of every race for as long as that promise lives: of a leader
 * that is never deposed, for months.
 */
export class Interruption {
  #reason: Error | undefined
  #reject: ((error: Error) => void) | undefined

  /** From now on nothing is waited for: also what comes later rejects with the first reason. */
  interrupt(reason: Error): void {
    this.#reason ??= reason
    this.#reject?.(this.#reason)
  }

  /**
   * What comes of `work`, unless it is interrupted before. The work itself goes on. One call at a time.
   */
  async during<T>(work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>()
    this.#reject = reject
    if (this.#reason !== undefined) reject(this.#reason)
    try {
      return await Promise.race([work, promise])
    } finally {
      this.#reject = undefined
    }
  }
}
