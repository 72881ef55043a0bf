/** So often the first is looked for among all before they are put in order. */
const LOOKED_FOR_MAX = 4

/**
 * When the slots of a pool are free, the earliest first: a binary heap of numbers, which allocates nothing,
 * and is made of them only once some have been given away.
 */
export class FreeTimes {
  readonly #times: number[] = []
  /** Of those that are in no order: how many were given away since, and the place of the first. */
  #given = 0
  #firstAt = 0

  /** When the first of them is free; infinite without any. */
  get firstMs(): number {
    return this.#times[this.#firstAt] ?? Number.POSITIVE_INFINITY
  }

  /** In place of all that it holds, in linear time. */
  set(times: readonly number[]): void {
    const own = this.#times
    own.length = 0
    for (const ms of times) own.push(ms)
    this.#given = 0
    this.#lookForFirst()
  }

  /** Gives the first of them away until then; without any there is one from then on. */
  giveFirst(untilMs: number): void {
    if (this.#given === LOOKED_FOR_MAX) {
      this.#sink(0, untilMs)
      return
    }
    this.#times[this.#firstAt] = untilMs
    this.#given += 1
    if (this.#given < LOOKED_FOR_MAX) this.#lookForFirst()
    else this.#putInOrder()
  }

  #lookForFirst(): void {
    let firstMs = Number.POSITIVE_INFINITY
    this.#firstAt = 0
    for (let at = 0; at < this.#times.length; at += 1) {
      const ms = this.#times[at] ?? 0
      if (ms >= firstMs) continue
      firstMs = ms
      this.#firstAt = at
    }
  }

  #putInOrder(): void {
    const times = this.#times
    for (let at = (times.length >> 1) - 1; at >= 0; at -= 1) this.#sink(at, times[at] ?? 0)
    this.#firstAt = 0
  }

  #sink(from: number, ms: number): void {
    const times = this.#times
    const size = times.length
    let at = from
    for (let below = 2 * at + 1; below < size; below = 2 * at + 1) {
      let childMs = times[below] ?? 0
      const rightMs = times[below + 1]
      if (rightMs !== undefined && rightMs < childMs) {
        below += 1
        childMs = rightMs
      }
      if (ms <= childMs) break
      times[at] = childMs
      at = below
    }
    times[at] = ms
  }
}
