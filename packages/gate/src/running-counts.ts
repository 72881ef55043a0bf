import type { Head } from './choose.ts'

/** Whose a video is. */
export type Owner = Pick<Head, 'accountId' | 'keyId'>

/**
 * How many videos of each account and of each key are running, over all pools: those that occupy a device or
 * are on their way to one. A video whose files are uploaded after it gave its device back is not counted.
 */
export class RunningCounts {
  readonly #counts = new Map<string, number>()

  constructor(inFlight: Iterable<Owner>) {
    for (const owner of inFlight) this.add(owner, 1)
  }

  add({ accountId, keyId }: Owner, change: 1 | -1): void {
    this.#counts.set(accountId, this.#countOf(accountId) + change)
    this.#counts.set(keyId, this.#countOf(keyId) + change)
  }

  /** The account or key whose limit keeps the head waiting; null when it may go. */
  limitOf(head: Owner & Pick<Head, 'accountRunningMax' | 'keyRunningMax'>): string | null {
    const { accountId, keyId, accountRunningMax, keyRunningMax } = head
    if (accountRunningMax !== null && this.#countOf(accountId) >= accountRunningMax) return accountId
    if (keyRunningMax !== null && this.#countOf(keyId) >= keyRunningMax) return keyId
    return null
  }

  copy(): RunningCounts {
    const copy = new RunningCounts([])
    for (const [id, count] of this.#counts) copy.#counts.set(id, count)
    return copy
  }

  #countOf(id: string): number {
    return this.#counts.get(id) ?? 0
  }
}
