/** Times in rising order, each as often as it was added. */
export class RisingTimes {
  #times: Float64Array
  #size = 0

  /** `sizeMax`: so many of them at most. */
  constructor(sizeMax: number) {
    this.#times = new Float64Array(sizeMax)
  }

  get size(): number {
    return this.#size
  }

  /** The first `size` of these. */
  get times(): Float64Array {
    return this.#times
  }

  /** Infinite without any. */
  get firstMs(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] ?? 0)
  }

  add(ms: number): void {
    const at = this.#placeOf(ms)
    this.#times.copyWithin(at + 1, at, this.#size)
    this.#times[at] = ms
    this.#size += 1
  }

  /** Takes one of them out. */
  remove(ms: number): void {
    const at = this.#placeOf(ms)
    if (this.#times[at] !== ms || at >= this.#size) throw new RangeError(`${ms} is none of the times`)
    this.#times.copyWithin(at, at + 1, this.#size)
    this.#size -= 1
  }

  /** How many are before it. */
  #placeOf(ms: number): number {
    let [from, to] = [0, this.#size]
    while (from < to) {
      const middle = (from + to) >> 1
      if ((this.#times[middle] ?? 0) < ms) from = middle + 1
      else to = middle
    }
    return from
  }
}
