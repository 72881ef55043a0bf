/**
 * When the slots of a pool are free, the earliest first. Those that nobody was given stay in the order in
 * which they came; the others are a binary heap of numbers. Most of a pool's slots are never looked at: who
 * waits for them takes as many as there are videos that wait.
 */
export class FreeTimes {
  /** The first `#size` of these rise. Those before `#next` have been given away. */
  #rising = new Float64Array(0)
  #size = 0
  #next = 0
  #fromMs = 0
  /** Until when those that were given away are taken: a heap of the first `#takenCount` of these. */
  #taken = new Float64Array(16)
  #takenCount = 0
  /** When the first of those is free that nobody was given. */
  #nextMs = Number.POSITIVE_INFINITY
  #firstMs = Number.POSITIVE_INFINITY

  /** When the first of them is free; infinite without any. */
  get firstMs(): number {
    return this.#firstMs
  }

  /** In place of all that it holds, in any order. */
  set(times: readonly number[]): void {
    const rising = Float64Array.from(times).sort()
    this.setRising(rising, rising.length, 0)
  }

  /** In place of all that it holds: the first `size` of these, which rise, by a clock that says `fromMs`. */
  setRising(rising: Float64Array, size: number, fromMs: number): void {
    if (this.#rising.length < size) this.#rising = new Float64Array(rising.length)
    this.#rising.set(size === rising.length ? rising : rising.subarray(0, size))
    this.#size = size
    this.#fromMs = fromMs
    this.#takenCount = 0
    this.#moveTo(0)
    this.#firstMs = this.#nextMs
  }

  /** There is one more. */
  add(ms: number): void {
    if (this.#takenCount === this.#taken.length) {
      const larger = new Float64Array(this.#takenCount * 2)
      larger.set(this.#taken)
      this.#taken = larger
    }
    const taken = this.#taken
    let at = this.#takenCount
    this.#takenCount += 1
    while (at > 0) {
      const above = (at - 1) >> 1
      const aboveMs = taken[above] ?? 0
      if (aboveMs <= ms) break
      taken[at] = aboveMs
      at = above
    }
    taken[at] = ms
    if (ms < this.#firstMs) this.#firstMs = ms
  }

  /** Gives the first of them away until then; without any there is one from then on. */
  giveFirst(untilMs: number): void {
    const isOfRising = this.#next < this.#size && this.#nextMs === this.#firstMs
    if (isOfRising) this.#moveTo(this.#next + 1)
    if (isOfRising || this.#takenCount === 0) this.add(untilMs)
    else this.#sink(untilMs)
    this.#firstMs = Math.min(this.#nextMs, this.#taken[0] ?? 0)
  }

  #moveTo(next: number): void {
    this.#next = next
    this.#nextMs =
      next < this.#size ? Math.max(0, (this.#rising[next] ?? 0) - this.#fromMs) : Number.POSITIVE_INFINITY
  }

  /** Puts it in the place of the first that was given away. */
  #sink(ms: number): void {
    const taken = this.#taken
    const size = this.#takenCount
    let at = 0
    for (let below = 1; below < size; below = 2 * at + 1) {
      let childMs = taken[below] ?? 0
      const right = below + 1
      if (right < size && (taken[right] ?? 0) < childMs) {
        below = right
        childMs = taken[below] ?? 0
      }
      if (ms <= childMs) break
      taken[at] = childMs
      at = below
    }
    taken[at] = ms
  }
}
