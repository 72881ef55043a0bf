/** A growing list of numbers, eight bytes each. */
export class Numbers {
  #values = new Float64Array(1_024)
  #size = 0

  push(value: number): void {
    if (this.#size === this.#values.length) {
      const grown = new Float64Array(this.#size * 2)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[this.#size] = value
    this.#size += 1
  }

  /** All of them, in rising order. */
  rising(): Float64Array {
    return this.#values.slice(0, this.#size).sort()
  }
}
