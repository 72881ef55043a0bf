import type { ServiceTier } from '@sluice/shared/service-tier'
import { Heap } from './heap.ts'
import type { Finish, TierTime } from './virtual-time.ts'

/** What of a head its place depends on. */
interface Placed {
  videoId: string
  accountId: string
}

/** Null = nothing: it is passed over as if it were not there. */
export type Current<Head> = (head: Head) => Head | null

const byAge = (a: Placed, b: Placed) => a.videoId < b.videoId

/** The heads of an account in one tier. */
interface AccountHeads<Head> {
  readonly heads: Heap<Head>
  readonly finish: Finish
  /** It is at a limit, and all of them wait. */
  isWaiting: boolean
}

/**
 * The heads of one tier. All heads of an account start at the same time, so its oldest stands for those
 * behind it, and a choice costs the same however many queues an account has. Accounts whose last finish is
 * not ahead of the clock all start now, oldest head first; the others wait by finish tag. Tags and clock only
 * rise, so an account that stands under an old tag is at most too early, and is put where it belongs then.
 */
export class TierQueue<Head extends Placed> {
  readonly tier: ServiceTier
  readonly #time: TierTime
  readonly #current: Current<Head>
  readonly #accounts = new Map<string, AccountHeads<Head>>()
  /**
   * The oldest head of each account that may go, and some that were: those are told by `#whereOldest`,
   * and dropped.
   */
  readonly #ready = new Heap<Head>(byAge)
  readonly #ahead = new Heap<{ finishMs: number; head: Head }>(
    (a, b) => a.finishMs < b.finishMs || (a.finishMs === b.finishMs && byAge(a.head, b.head)),
  )
  /** Accounts of which all heads wait. */
  #waiting = 0

  constructor(tier: ServiceTier, time: TierTime, current: Current<Head>) {
    this.tier = tier
    this.#time = time
    this.#current = current
  }

  /** None of them may go; there may be some that wait for an account's limit. */
  get isEmpty(): boolean {
    return this.#ready.size === 0 && this.#ahead.size === 0
  }

  get size(): number {
    return [...this.#accounts.values()].reduce((sum, { heads }) => sum + heads.size, 0)
  }

  push(head: Head): void {
    const account = this.#accountOf(head)
    account.heads.push(head)
    if (account.heads.peek() === head) this.#enter(account)
    else this.#resume(account)
  }

  /** When a head starts, were it taken now. */
  startMs(head: Head): number {
    return Math.max(this.#time.clockMs, this.#accountOf(head).finish.ms)
  }

  /** Puts a head that was taken out back, and has all of its account wait. */
  setAside(head: Head): void {
    this.push(head)
    const account = this.#accountOf(head)
    if (account.isWaiting) return
    account.isWaiting = true
    this.#waiting += 1
  }

  /** Has an account go on that waits, and returns whether it did. */
  resume(accountId: string): boolean {
    if (this.#waiting === 0) return false
    const account = this.#accounts.get(accountId)
    return account !== undefined && this.#resume(account)
  }

  #resume(account: AccountHeads<Head>): boolean {
    if (!account.isWaiting) return false
    account.isWaiting = false
    this.#waiting -= 1
    this.#enter(account)
    return true
  }

  /** Takes out the head with the earliest start, among equals the oldest. */
  next(): Head | null {
    const { clockMs } = this.#time
    for (
      let first = this.#ahead.peek();
      first !== undefined && first.finishMs <= clockMs;
      first = this.#ahead.peek()
    ) {
      this.#ahead.pop()
      const account = this.#whereOldest(first.head)
      if (account !== null) this.#enter(account)
    }
    for (let head = this.#ready.pop(); head !== undefined; head = this.#ready.pop()) {
      const account = this.#whereOldest(head)
      if (account === null) continue
      const isReady = account.finish.ms <= clockMs
      if (isReady && this.#take(head, account)) return head
      if (!isReady) this.#enter(account)
    }
    for (let first = this.#ahead.pop(); first !== undefined; first = this.#ahead.pop()) {
      const { head, finishMs } = first
      const account = this.#whereOldest(head)
      if (account === null) continue
      const isReady = account.finish.ms === finishMs
      if (isReady && this.#take(head, account)) return head
      if (!isReady) this.#enter(account)
    }
    return null
  }

  #accountOf({ accountId }: Head): AccountHeads<Head> {
    const known = this.#accounts.get(accountId)
    if (known !== undefined) return known
    const finish = this.#time.finishOf(accountId)
    const account = { heads: new Heap<Head>(byAge), finish, isWaiting: false }
    this.#accounts.set(accountId, account)
    return account
  }

  /** The account whose oldest head it is, and which may go; null = it is none. */
  #whereOldest(head: Head): AccountHeads<Head> | null {
    const account = this.#accounts.get(head.accountId)
    return account !== undefined && !account.isWaiting && account.heads.peek() === head ? account : null
  }

  /** Puts an account where its oldest head belongs now. */
  #enter({ heads, finish }: AccountHeads<Head>): void {
    const head = heads.peek()
    if (head === undefined) return
    const finishMs = finish.ms
    if (finishMs <= this.#time.clockMs) this.#ready.push(head)
    else this.#ahead.push({ finishMs, head })
  }

  /** Takes the oldest head of its account out, and returns whether it still is one. */
  #take(head: Head, account: AccountHeads<Head>): boolean {
    account.heads.pop()
    this.#enter(account)
    return this.#current(head) === head
  }
}
