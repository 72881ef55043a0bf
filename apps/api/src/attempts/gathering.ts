import { isHeldUp } from '../db/held-up.ts'
import { DatabaseUnavailableError } from '../errors.ts'

export interface GatheringSettings<Item, Result> {
  /** Groups under way at a time. */
  groupsMax: number
  /** Items of a group. */
  itemsMax: number
  /** A group has no two items of the same key. */
  keyOf(item: Item): string
  /** Works on a group. Returns the result of each, in order; null for one that is to be tried alone. */
  work(items: readonly Item[]): Promise<readonly (Result | null)[]>
}

interface Waiting<Item, Result> {
  item: Item
  resolve(result: Result | null): void
  reject(error: unknown): void
}

/**
 * Works on what arrives together in groups. What comes while nothing is under way starts at once: nobody
 * waits for company. What waits is bounded by the requests that it came with.
 */
export class Gathering<Item, Result> {
  readonly #settings: GatheringSettings<Item, Result>
  #waiting: Waiting<Item, Result>[] = []
  #underWay = 0

  constructor(settings: GatheringSettings<Item, Result>) {
    this.#settings = settings
  }

  /**
   * The item's result; null when it is to be tried alone: its group says so, or failed for a reason that may
   * be another's. Throws DatabaseUnavailableError.
   */
  add(item: Item): Promise<Result | null> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      // What the same request, or the same turn of the event loop, brings goes along.
      if (this.#waiting.length === 1) setImmediate(() => this.#start())
    })
  }

  #start(): void {
    while (this.#underWay < this.#settings.groupsMax && this.#waiting.length > 0) {
      const group = this.#nextGroup()
      this.#underWay += 1
      const next = () => {
        this.#underWay -= 1
        this.#start()
      }
      this.#workOn(group).then(next, next)
    }
  }

  #nextGroup(): Waiting<Item, Result>[] {
    const { itemsMax, keyOf } = this.#settings
    const keys = new Set<string>()
    const group: Waiting<Item, Result>[] = []
    const left: Waiting<Item, Result>[] = []
    for (const waiting of this.#waiting) {
      const key = keyOf(waiting.item)
      const isNext = group.length < itemsMax && !keys.has(key)
      if (isNext) keys.add(key)
      ;(isNext ? group : left).push(waiting)
    }
    this.#waiting = left
    return group
  }

  /** Never rejects: who waits gets the error. */
  async #workOn(group: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#settings.work(group.map(({ item }) => item))
      group.forEach(({ resolve }, index) => {
        resolve(results[index] ?? null)
      })
    } catch (error) {
      const isAway = error instanceof DatabaseUnavailableError && !isHeldUp(error)
      for (const { resolve, reject } of group) {
        if (isAway) reject(error)
        else resolve(null)
      }
    }
  }
}
