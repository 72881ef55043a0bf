/** Where it stands in a `Roster`. */
export interface Rostered {
  place: number
}

/**
 * Things in the order in which they came, each of which may leave at any time. A `Set` does as much, but its
 * outgrown tables lead from one to the next, and what left long ago keeps what came later from being freed.
 */
export class Roster<Item extends Rostered> {
  readonly #items: (Item | null)[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** All of them, until one comes or goes. */
  get all(): readonly Item[] {
    if (this.#size < this.#items.length) this.#closeGaps()
    return this.#items as Item[]
  }

  add(item: Item): void {
    item.place = this.#items.length
    this.#items.push(item)
    this.#size += 1
  }

  remove(item: Item): void {
    this.#items[item.place] = null
    this.#size -= 1
    if (this.#size * 2 < this.#items.length) this.#closeGaps()
  }

  #closeGaps(): void {
    const items = this.#items
    let size = 0
    for (const item of items) {
      if (item === null) continue
      item.place = size
      items[size] = item
      size += 1
    }
    items.length = size
  }
}
