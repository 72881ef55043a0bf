import type { Head } from './choose.ts'

/** Whose a video is. */
export type Owner = Pick<Head, 'accountId' | 'keyId'>

/**
 * How many videos of each account and of each key are running, over all pools: those that occupy a device or
 * are on their way to one. A video whose files are uploaded after it gave its device back is not counted.
 */
export class RunningCounts {
  readonly #counts = new Map<string, { running: number }>()

  constructor(inFlight: Iterable<Owner>) {
    for (const owner of inFlight) this.add(owner, 1)
  }

  add({ accountId, keyId }: Owner, change: 1 | -1): void {
    this.#add(accountId, change)
    this.#add(keyId, change)
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
    for (const [id, { running }] of this.#counts) copy.#add(id, running)
    return copy
  }

  #countOf(id: string): number {
    return this.#counts.get(id)?.running ?? 0
  }

  #add(id: string, change: number): void {
    const count = this.#counts.get(id)
    if (count === undefined) this.#counts.set(id, { running: change })
    else count.running += change
  }
}
