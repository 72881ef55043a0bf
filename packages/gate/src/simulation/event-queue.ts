/**
 * What happens when: items by their time, the one that was added first among those of the same time. As
 * `Heap` does it, but with the times in numbers of their own, so that nothing is allocated for an item.
 */
export class EventQueue<Item> {
  #atMs = new Float64Array(1_024)
  #order = new Float64Array(1_024)
  readonly #items: Item[] = []
  #count = 0

  /** When the first of them happens; infinite without any. */
  get nextAtMs(): number {
    return this.#items.length === 0 ? Number.POSITIVE_INFINITY : (this.#atMs[0] ?? 0)
  }

  /** The first of them; undefined without any. */
  get first(): Item | undefined {
    return this.#items[0]
  }

  push(atMs: number, item: Item): void {
    const size = this.#items.length
    if (size === this.#atMs.length) this.#grow()
    this.#items.push(item)
    this.#count += 1
    const order = this.#count
    let at = size
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!this.#isBefore(atMs, order, above)) break
      this.#move(above, at)
      at = above
    }
    this.#put(at, { atMs, order, item })
  }

  /** Takes the first of them out; undefined without any. */
  pop(): Item | undefined {
    const first = this.#items[0]
    const last = this.#items.length - 1
    if (last < 0) return undefined
    const [atMs, order] = [this.#atMs[last] ?? 0, this.#order[last] ?? 0]
    const item = this.#items.pop() as Item
    if (last === 0) return item
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= last) break
      const right = below + 1
      if (right < last && this.#isBefore(this.#atMs[right] ?? 0, this.#order[right] ?? 0, below))
        below = right
      if (this.#isBefore(atMs, order, below)) break
      this.#move(below, at)
      at = below
    }
    this.#put(at, { atMs, order, item })
    return first
  }

  #isBefore(atMs: number, order: number, other: number): boolean {
    const otherMs = this.#atMs[other] ?? 0
    return atMs < otherMs || (atMs === otherMs && order < (this.#order[other] ?? 0))
  }

  #move(from: number, to: number): void {
    this.#atMs[to] = this.#atMs[from] ?? 0
    this.#order[to] = this.#order[from] ?? 0
    this.#items[to] = this.#items[from] as Item
  }

  #put(at: number, { atMs, order, item }: { atMs: number; order: number; item: Item }): void {
    this.#atMs[at] = atMs
    this.#order[at] = order
    this.#items[at] = item
  }

  #grow(): void {
    const grown = (values: Float64Array<ArrayBuffer>) => {
      const larger = new Float64Array(values.length * 2)
      larger.set(values)
      return larger
    }
    this.#atMs = grown(this.#atMs)
    this.#order = grown(this.#order)
  }
}
