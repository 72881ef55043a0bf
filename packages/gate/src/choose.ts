import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { Heap } from './heap.ts'

/** The next video of one key, shape and tier that a pool could make. */
export interface Head {
  videoId: string
  accountId: string
  keyId: string
  model: string
  /** Names the queue it is the head of: the videos of its key, shape and tier. */
  queueKey: string
  /** Videos of its account, and of its key, that may run at once; null = no limit. */
  accountRunningMax: number | null
  keyRunningMax: number | null
  /** Share of the pool its account gets against others, 100 = normal. */
  weight: number
  tier: ServiceTier
  /** Predicted GPU milliseconds on this pool. */
  costMs: number
  /** Milliseconds until it expires. */
  expiresInMs: number
  /** When it was first passed over, by the clock of `Switching.nowMs`; null = never. */
  passedOverAtMs: number | null
  /** When it was first put off for another pool, by the same clock; undefined = never. */
  putOffAtMs?: number | undefined
}

export interface Choice {
  head: Head
  /** The tier it is served in: its own, but for a flex video whose deadline is near. */
  tier: ServiceTier
  /** Where the tier's clock stands from then on: the start of the fairest head, whoever is served. */
  clockMs: number
  startTagMs: number
  finishTagMs: number
  /** Fairer heads that it was taken before, because its model is loaded and theirs are not. */
  passedOver: readonly Head[]
}

/** What a choice knows of switches of models. */
export interface Switching {
  /** The models that the free slots have loaded. */
  loaded: ReadonlySet<string>
  nowMs: number
  /** The longest that a head is passed over because of what is loaded; 0 = never. */
  waitMsMax: number
}

/** What a choice for the slots of one pool knows of the others. */
export interface Others {
  /** Whether the head waits for another pool; `tier`: the one that it is served in. */
  waits(head: Head, tier: ServiceTier): boolean
  /** Called with each head that does: returns who comes next in its queue. */
  behind(head: Head): Head | null
}

/** What a choice depends on besides the order. */
interface ChoiceParts {
  limitOf: (head: Head) => string | null
  switching: Switching
  others: Others | null
}

/** Nothing is loaded, and nobody is passed over for that. */
export const IN_ORDER: Switching = { loaded: new Set(), nowMs: 0, waitMsMax: 0 }
/** Heads that are passed over for one: it bounds the time of a choice, and the notes it makes. */
const PASSED_OVER_MAX = 64

/**
 * A flex video is served as standard once its deadline is no further off than this many times its cost, or
 * than this long.
 */
const PROMOTION_COSTS = 10
const PROMOTION_MS_MIN = 3_600_000

/**
 * Virtual time by tier: the tier's clock and each account's finish tag, in weighted GPU milliseconds. Both
 * only ever rise.
 */
export class VirtualTime {
  readonly #clockMs = new Map<ServiceTier, number>()
  readonly #finishMs = new Map<ServiceTier, Map<string, number>>(
    SERVICE_TIERS.map((tier) => [tier, new Map()]),
  )

  clockMs(tier: ServiceTier): number {
    return this.#clockMs.get(tier) ?? 0
  }

  finishMs(tier: ServiceTier, accountId: string): number {
    return this.#finishMs.get(tier)?.get(accountId) ?? 0
  }

  raiseClock(tier: ServiceTier, ms: number): void {
    this.#clockMs.set(tier, Math.max(this.clockMs(tier), ms))
  }

  raiseFinish(tier: ServiceTier, accountId: string, ms: number): void {
    this.#finishMs.get(tier)?.set(accountId, Math.max(this.finishMs(tier, accountId), ms))
  }

  /** What a dispatch does to it. */
  advance(choice: Choice): void {
    this.raiseClock(choice.tier, choice.clockMs)
    this.raiseFinish(choice.tier, choice.head.accountId, choice.finishTagMs)
  }

  copy(): VirtualTime {
    const copy = new VirtualTime()
    for (const [tier, ms] of this.#clockMs) copy.raiseClock(tier, ms)
    for (const [tier, finishes] of this.#finishMs) {
      for (const [accountId, ms] of finishes) copy.raiseFinish(tier, accountId, ms)
    }
    return copy
  }
}

/**
 * Who goes next on one pool: start-time fair queueing over accounts (Goyal, Vin, Cheng 1996) within the first
 * tier that has anyone to serve. An account's head starts at the later of the tier's clock and the account's
 * last finish; the earliest start goes first, among equals the older video. A head whose model is loaded may
 * go before fairer ones of its tier, as long as none of them is passed over for longer than the bound then.
 * Plain data and no clock, so that the forecast chooses exactly as the gate does. The time of a choice is
 * logarithmic in the number of accounts.
 */
export class FairQueue {
  readonly #time: VirtualTime
  readonly #tiers: readonly TierQueue[]
  /**
   * Heads that wait because their key is at a limit, by key; those whose account is wait in their tier's
   * queue.
   */
  readonly #waitingByKey = new Map<string, Head[]>()

  /**
   * `time` stays the caller's, who advances it with each choice that is carried out. `current`: what stands
   * in a head's place by now, itself where nothing has changed; asked when its turn has come.
   */
  constructor(time: VirtualTime, heads: Iterable<Head> = [], current: Current = (head) => head) {
    this.#time = time
    const renewed: Current = (head) => {
      const now = current(head)
      if (now !== head && now !== null) this.push(now)
      return now
    }
    this.#tiers = SERVICE_TIERS.map((tier) => new TierQueue(tier, time, renewed))
    for (const head of heads) this.push(head)
  }

  get size(): number {
    const waitingForKeys = [...this.#waitingByKey.values()].reduce((sum, heads) => sum + heads.length, 0)
    return this.#tiers.reduce((sum, queue) => sum + queue.size, waitingForKeys)
  }

  push(head: Head): void {
    this.#tiers[SERVICE_TIERS.indexOf(tierOf(head))]?.push(head)
  }

  /**
   * Takes out who goes next; null when nobody may. `limitOf` names the account (first) or key whose limit
   * keeps a head waiting, or null. Such heads are set aside, and not looked at again until `resume`. The
   * caller pushes the successor. Heads that are passed over keep when they first were. Heads that wait for
   * one of the `others` are taken out as well, and keep when they were first put off: nobody above flex is
   * put off for longer than it would have taken here.
   */
  next(
    limitOf: (head: Head) => string | null,
    switching: Switching = IN_ORDER,
    others: Others | null = null,
  ): Choice | null {
    const parts = { limitOf, switching, others }
    for (const queue of this.#tiers) {
      const fairest = this.#nextOf(queue, parts)
      if (fairest === null) continue
      const { tier } = queue
      const clockMs = this.#startMs(queue, fairest)
      const loaded = this.#loadedBefore(fairest, queue, parts)
      const head = loaded?.head ?? fairest
      const startTagMs = this.#startMs(queue, head)
      const finishTagMs = startTagMs + (head.costMs * 100) / head.weight
      return { head, tier, clockMs, startTagMs, finishTagMs, passedOver: loaded?.passedOver ?? [] }
    }
    return null
  }

  #startMs({ tier }: TierQueue, { accountId }: Head): number {
    return Math.max(this.#time.clockMs(tier), this.#time.finishMs(tier, accountId))
  }

  /** Takes out the fairest head of the tier that may go, and those before it that wait for another pool. */
  #nextOf(queue: TierQueue, { limitOf, switching, others }: ChoiceParts): Head | null {
    for (let head = queue.next(); head !== null; head = queue.next()) {
      const limit = limitOf(head)
      if (limit === null) {
        if (others === null || !isPutOff(head, queue.tier, others, switching)) return head
        const behind = others.behind(head)
        if (behind !== null) this.push(behind)
      } else if (limit === head.accountId) queue.setAside(head)
      else this.#setAside(head)
    }
    return null
  }

  /**
   * Takes out the fairest head whose model is loaded, when all that are fairer may be passed over for as long
   * as it takes: each of them is back in the queue then, `fairest` too. Null when `fairest` goes.
   */
  #loadedBefore(
    fairest: Head,
    queue: TierQueue,
    parts: ChoiceParts,
  ): { head: Head; passedOver: readonly Head[] } | null {
    const { loaded, nowMs, waitMsMax } = parts.switching
    if (loaded.size === 0) return null
    const passedOver: Head[] = []
    let waitedMs = 0
    let head: Head | null = fairest
    while (head !== null && !loaded.has(head.model) && passedOver.length < PASSED_OVER_MAX) {
      passedOver.push(head)
      waitedMs = Math.max(waitedMs, nowMs - (head.passedOverAtMs ?? nowMs))
      head = waitedMs < waitMsMax ? this.#nextOf(queue, parts) : null
    }
    if (head === fairest) return null
    const mayGo = head !== null && loaded.has(head.model) && waitedMs + head.costMs <= waitMsMax
    for (const other of passedOver) {
      if (mayGo) other.passedOverAtMs ??= nowMs
      if (mayGo || other !== fairest) queue.push(other)
    }
    if (head !== null && mayGo) return { head, passedOver }
    if (head !== null) queue.push(head)
    return null
  }

  /**
   * One video of this account and key has stopped running, so another may go. Returns whether any waited for
   * that.
   */
  resume({ accountId, keyId }: Pick<Head, 'accountId' | 'keyId'>): boolean {
    let hasWaited = false
    for (const queue of this.#tiers) hasWaited = queue.resume(accountId) || hasWaited
    const heads = this.#waitingByKey.get(keyId)
    if (heads === undefined) return hasWaited
    this.#waitingByKey.delete(keyId)
    for (const head of heads) this.push(head)
    return true
  }

  #setAside(head: Head): void {
    const heads = this.#waitingByKey.get(head.keyId)
    if (heads === undefined) this.#waitingByKey.set(head.keyId, [head])
    else heads.push(head)
  }
}

/** Whether a head waits for another pool. One above flex does so no longer than it would have taken here. */
export function isPutOff(
  head: Head,
  tier: ServiceTier,
  others: Pick<Others, 'waits'>,
  { nowMs }: Pick<Switching, 'nowMs'>,
): boolean {
  if (tier === 'flex') return others.waits(head, tier)
  if (nowMs - (head.putOffAtMs ?? nowMs) >= head.costMs || !others.waits(head, tier)) return false
  head.putOffAtMs ??= nowMs
  return true
}

/** Null = nothing: it is passed over as if it were not there. */
type Current = (head: Head) => Head | null

const byAge = (a: Head, b: Head) => a.videoId < b.videoId

/**
 * The heads of one tier. All heads of an account start at the same time, so its oldest stands for those
 * behind it, and a choice costs the same however many queues an account has. Accounts whose last finish is
 * not ahead of the clock all start now, oldest head first; the others wait by finish tag. Tags and clock only
 * rise, so an account that stands under an old tag is at most too early, and is put where it belongs then.
 */
class TierQueue {
  readonly tier: ServiceTier
  readonly #time: VirtualTime
  readonly #current: Current
  /** All heads, by account. */
  readonly #heads = new Map<string, Heap<Head>>()
  /**
   * The oldest head of each account that may go, and some that were: those are told by `#isOldest`, and
   * dropped.
   */
  readonly #ready = new Heap<Head>(byAge)
  readonly #ahead = new Heap<{ finishMs: number; head: Head }>(
    (a, b) => a.finishMs < b.finishMs || (a.finishMs === b.finishMs && byAge(a.head, b.head)),
  )
  /** Accounts that are at a limit, whose heads all wait. */
  readonly #waiting = new Set<string>()

  constructor(tier: ServiceTier, time: VirtualTime, current: Current) {
    this.tier = tier
    this.#time = time
    this.#current = current
  }

  get size(): number {
    return [...this.#heads.values()].reduce((sum, heads) => sum + heads.size, 0)
  }

  push(head: Head): void {
    const { accountId } = head
    const heads = this.#heads.get(accountId) ?? new Heap<Head>(byAge)
    this.#heads.set(accountId, heads)
    heads.push(head)
    if (heads.peek() === head || this.#waiting.delete(accountId)) this.#enter(accountId)
  }

  /** Puts a head that was taken out back, and has all of its account wait. */
  setAside(head: Head): void {
    this.push(head)
    this.#waiting.add(head.accountId)
  }

  /** Has an account go on that waits, and returns whether it did. */
  resume(accountId: string): boolean {
    if (!this.#waiting.delete(accountId)) return false
    this.#enter(accountId)
    return true
  }

  /** Takes out the head with the earliest start, among equals the oldest. */
  next(): Head | null {
    const clockMs = this.#time.clockMs(this.tier)
    for (
      let first = this.#ahead.peek();
      first !== undefined && first.finishMs <= clockMs;
      first = this.#ahead.peek()
    ) {
      this.#ahead.pop()
      if (this.#isOldest(first.head)) this.#enter(first.head.accountId)
    }
    for (let head = this.#ready.pop(); head !== undefined; head = this.#ready.pop()) {
      if (!this.#isOldest(head)) continue
      const isReady = this.#time.finishMs(this.tier, head.accountId) <= clockMs
      if (isReady && this.#take(head)) return head
      if (!isReady) this.#enter(head.accountId)
    }
    for (let first = this.#ahead.pop(); first !== undefined; first = this.#ahead.pop()) {
      const { head, finishMs } = first
      if (!this.#isOldest(head)) continue
      const isReady = this.#time.finishMs(this.tier, head.accountId) === finishMs
      if (isReady && this.#take(head)) return head
      if (!isReady) this.#enter(head.accountId)
    }
    return null
  }

  #isOldest(head: Head): boolean {
    return !this.#waiting.has(head.accountId) && this.#heads.get(head.accountId)?.peek() === head
  }

  /** Puts an account where its oldest head belongs now. */
  #enter(accountId: string): void {
    const head = this.#heads.get(accountId)?.peek()
    if (head === undefined) return
    const finishMs = this.#time.finishMs(this.tier, accountId)
    if (finishMs <= this.#time.clockMs(this.tier)) this.#ready.push(head)
    else this.#ahead.push({ finishMs, head })
  }

  /** Takes the oldest head of its account out, and returns whether it still is one. */
  #take(head: Head): boolean {
    const { accountId } = head
    this.#heads.get(accountId)?.pop()
    this.#enter(accountId)
    return this.#current(head) === head
  }
}

/**
 * Slots of a pool that one account may occupy: all of them while no more than one account is active there,
 * else its share, and at least one.
 */
export function accountCap(
  pool: { slots: number },
  active: ReadonlySet<string>,
  accountSharePercent: number,
): number {
  if (active.size <= 1) return pool.slots
  return Math.max(1, Math.floor((pool.slots * accountSharePercent) / 100))
}

/** The tier a video is served in: its own, or standard for a flex video whose deadline is near. */
export function tierOf(video: Pick<Head, 'tier' | 'costMs' | 'expiresInMs'>): ServiceTier {
  if (video.tier !== 'flex') return video.tier
  return promotedIn(video) <= 0 ? 'standard' : 'flex'
}

/** Milliseconds until a flex video is served as standard. */
export function promotedIn({ costMs, expiresInMs }: Pick<Head, 'costMs' | 'expiresInMs'>): number {
  return expiresInMs - Math.max(PROMOTION_MS_MIN, costMs * PROMOTION_COSTS)
}
