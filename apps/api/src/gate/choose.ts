import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { Heap } from './heap.ts'

/** The next video in one key's line that a pool could run. */
export interface Head {
  videoId: string
  accountId: string
  keyId: string
  model: string
  /** Names its line: videos of one key that ask for the same of a pool. */
  line: string
  /** Videos of its account, and of its key, that may run at once; null = no limit. */
  accountRunningMax: number | null
  keyRunningMax: number | null
  /** Share of the pool an account gets against others, 100 = normal. */
  weight: number
  tier: ServiceTier
  /** Predicted GPU milliseconds on this pool. */
  costMs: number
  /** Milliseconds until it expires. */
  expiresInMs: number
}

export interface Choice {
  head: Head
  lane: ServiceTier
  startTagMs: number
  finishTagMs: number
}

/** A flex video runs as standard once what is left to its deadline is this many times its own length, or this long. */
const PROMOTION_LENGTHS = 10
const PROMOTION_MS_MIN = 3_600_000

/** Virtual time by lane: the lane's clock and each account's finish tag, in weighted GPU milliseconds. Both only ever rise. */
export class VirtualTime {
  readonly #clockMs = new Map<ServiceTier, number>()
  readonly #finishMs = new Map<ServiceTier, Map<string, number>>(
    SERVICE_TIERS.map((lane) => [lane, new Map()]),
  )

  clockMs(lane: ServiceTier): number {
    return this.#clockMs.get(lane) ?? 0
  }

  finishMs(lane: ServiceTier, accountId: string): number {
    return this.#finishMs.get(lane)?.get(accountId) ?? 0
  }

  raiseClock(lane: ServiceTier, ms: number): void {
    this.#clockMs.set(lane, Math.max(this.clockMs(lane), ms))
  }

  raiseFinish(lane: ServiceTier, accountId: string, ms: number): void {
    this.#finishMs.get(lane)?.set(accountId, Math.max(this.finishMs(lane, accountId), ms))
  }

  /** What a dispatch does to it. */
  advance(choice: Choice): void {
    this.raiseClock(choice.lane, choice.startTagMs)
    this.raiseFinish(choice.lane, choice.head.accountId, choice.finishTagMs)
  }

  copy(): VirtualTime {
    const copy = new VirtualTime()
    for (const [lane, ms] of this.#clockMs) copy.raiseClock(lane, ms)
    for (const [lane, finishes] of this.#finishMs) {
      for (const [accountId, ms] of finishes) copy.raiseFinish(lane, accountId, ms)
    }
    return copy
  }
}

/**
 * Who goes next on one pool: start-time fair queueing over accounts (Goyal, Vin, Cheng 1996) within the first lane that has
 * anyone to serve. An account's head starts at the later of the lane's clock and the account's last finish; the earliest
 * start goes first, among equals the older video. Plain data and no clock, so that the forecast and the planner choose
 * exactly as the gate does; logarithmic in the number of accounts.
 */
export class FairQueue {
  readonly #time: VirtualTime
  readonly #lanes: readonly Lane[]
  /** Heads that wait because their key is at a limit, by key; those whose account is wait in their lane. */
  readonly #behindKey = new Map<string, Head[]>()

  /** `time` stays the caller's, who advances it with each choice that is carried out. */
  constructor(time: VirtualTime, heads: Iterable<Head> = []) {
    this.#time = time
    this.#lanes = SERVICE_TIERS.map((lane) => new Lane(lane, time))
    for (const head of heads) this.push(head)
  }

  get size(): number {
    const behindKeys = [...this.#behindKey.values()].reduce((sum, heads) => sum + heads.length, 0)
    return this.#lanes.reduce((sum, lane) => sum + lane.size, behindKeys)
  }

  push(head: Head): void {
    this.#lanes[SERVICE_TIERS.indexOf(tierOf(head))]?.push(head)
  }

  /**
   * Takes out who goes next, or answers null. `limitOf` names the account (first) or key whose limit a head has to wait for,
   * or null; such heads are set aside, and not looked at again until `resume`. The caller pushes the next of that line.
   */
  next(limitOf: (head: Head) => string | null): Choice | null {
    for (const lane of this.#lanes) {
      for (let head = lane.next(); head !== null; head = lane.next()) {
        const limit = limitOf(head)
        if (limit !== null) {
          if (limit === head.accountId) lane.setAside(head)
          else this.#setAside(head, lane)
          continue
        }
        const startTagMs = Math.max(
          this.#time.clockMs(lane.lane),
          this.#time.finishMs(lane.lane, head.accountId),
        )
        return {
          head,
          lane: lane.lane,
          startTagMs,
          finishTagMs: startTagMs + (head.costMs * 100) / head.weight,
        }
      }
    }
    return null
  }

  /** One video of this account and key runs no longer, so one more of theirs may go. Answers whether any waited for that. */
  resume({ accountId, keyId }: Pick<Head, 'accountId' | 'keyId'>): boolean {
    let waited = false
    for (const lane of this.#lanes) waited = lane.resumeOldest(accountId) || waited
    const heads = this.#behindKey.get(keyId)
    if (heads === undefined) return waited
    this.#behindKey.delete(keyId)
    for (const head of heads) this.push(head)
    return true
  }

  #setAside(head: Head, lane: Lane): void {
    const heads = this.#behindKey.get(head.keyId)
    if (heads === undefined) this.#behindKey.set(head.keyId, [head])
    else heads.push(head)
    // The room its account has is another key's.
    lane.resumeOldest(head.accountId)
  }
}

/**
 * One lane's heads. Those whose account's last finish is not ahead of the clock all start now, oldest first; the others
 * wait by finish tag. Tags and clock only rise, so a head filed under an old tag is at most too early, and is filed anew.
 */
class Lane {
  readonly lane: ServiceTier
  readonly #time: VirtualTime
  readonly #ready = new Heap<Head>((a, b) => a.videoId < b.videoId)
  readonly #ahead = new Heap<{ finishMs: number; head: Head }>(
    (a, b) => a.finishMs < b.finishMs || (a.finishMs === b.finishMs && a.head.videoId < b.head.videoId),
  )
  /** Heads that wait because their account is at a limit, by account. */
  readonly #behindAccount = new Map<string, Heap<Head>>()

  constructor(lane: ServiceTier, time: VirtualTime) {
    this.lane = lane
    this.#time = time
  }

  get size(): number {
    const behindAccounts = [...this.#behindAccount.values()].reduce((sum, heads) => sum + heads.size, 0)
    return this.#ready.size + this.#ahead.size + behindAccounts
  }

  push(head: Head): void {
    const finishMs = this.#time.finishMs(this.lane, head.accountId)
    if (finishMs <= this.#time.clockMs(this.lane)) this.#ready.push(head)
    else this.#ahead.push({ finishMs, head })
  }

  setAside(head: Head): void {
    const heads = this.#behindAccount.get(head.accountId) ?? new Heap<Head>((a, b) => a.videoId < b.videoId)
    this.#behindAccount.set(head.accountId, heads)
    heads.push(head)
  }

  /** An account's heads in one lane start at the same time, so the oldest stands for those behind it. Answers whether there was one. */
  resumeOldest(accountId: string): boolean {
    const oldest = this.#behindAccount.get(accountId)?.pop()
    if (oldest !== undefined) this.push(oldest)
    return oldest !== undefined
  }

  next(): Head | null {
    const clockMs = this.#time.clockMs(this.lane)
    for (
      let top = this.#ahead.peek();
      top !== undefined && top.finishMs <= clockMs;
      top = this.#ahead.peek()
    ) {
      this.#ahead.pop()
      this.push(top.head)
    }
    for (let head = this.#ready.pop(); head !== undefined; head = this.#ready.pop()) {
      if (this.#time.finishMs(this.lane, head.accountId) <= clockMs) return head
      this.push(head)
    }
    for (let top = this.#ahead.pop(); top !== undefined; top = this.#ahead.pop()) {
      if (this.#time.finishMs(this.lane, top.head.accountId) === top.finishMs) return top.head
      this.push(top.head)
    }
    return null
  }
}

/** Slots one account may hold: all of them alone, else its share of the pool, and one at least. */
export function accountCap(pool: { slots: number }, isShared: boolean, accountSharePercent: number): number {
  if (!isShared) return pool.slots
  return Math.max(1, Math.floor((pool.slots * accountSharePercent) / 100))
}

/** The lane a head stands in: its tier's, or standard for a flex video whose deadline nears. */
export function tierOf(head: Pick<Head, 'tier' | 'costMs' | 'expiresInMs'>): ServiceTier {
  if (head.tier !== 'flex') return head.tier
  return head.expiresInMs <= Math.max(PROMOTION_MS_MIN, head.costMs * PROMOTION_LENGTHS) ? 'standard' : 'flex'
}
