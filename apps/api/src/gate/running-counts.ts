import type { Head } from './choose.ts'

/** Whose a video is. */
export type Owner = Pick<Head, 'accountId' | 'keyId'>

/**
 * How many videos of each account and of each key run, over all pools together: those that hold a device or are on their way
 * to one. A video that is encoded or uploaded after it gave its device back runs no longer.
 */
export class Running {
  readonly #counts = new Map<string, number>()

  constructor(inFlight: Iterable<Owner>) {
    for (const owner of inFlight) this.add(owner, 1)
  }

  add({ accountId, keyId }: Owner, change: 1 | -1): void {
    for (const id of [accountId, keyId]) this.#counts.set(id, this.#of(id) + change)
  }

  /** The account or key that has as many running as it may, and so keeps the head waiting; null when it may go. */
  limitOf(head: Owner & Pick<Head, 'accountRunningMax' | 'keyRunningMax'>): string | null {
    if (head.accountRunningMax !== null && this.#of(head.accountId) >= head.accountRunningMax)
      return head.accountId
    if (head.keyRunningMax !== null && this.#of(head.keyId) >= head.keyRunningMax) return head.keyId
    return null
  }

  copy(): Running {
    const copy = new Running([])
    for (const [id, count] of this.#counts) copy.#counts.set(id, count)
    return copy
  }

  #of(id: string): number {
    return this.#counts.get(id) ?? 0
  }
}
