/** Where an account has something that waits or runs. */
export class Presence {
  readonly accountId: string
  /** By the pool's number: lines that wait for it, and what is in flight there. */
  readonly #counts: Int32Array

  constructor(accountId: string, pools: number) {
    this.accountId = accountId
    this.#counts = new Int32Array(pools)
  }

  /** Returns whether it is there now and was not before, or the other way round. */
  count(pool: number, change: 1 | -1): boolean {
    const before = this.#counts[pool] ?? 0
    this.#counts[pool] = before + change
    return before === 0 || before + change === 0
  }
}
