import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { type Current, TierQueue } from './tier-queue.ts'
import type { VirtualTime } from './virtual-time.ts'

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
const NONE: readonly never[] = []
/** Heads that are passed over for one: it bounds the time of a choice, and the notes it makes. */
const PASSED_OVER_MAX = 64

/**
 * A flex video is served as standard once its deadline is no further off than this many times its cost, or
 * than this long.
 */
const PROMOTION_COSTS = 10
const PROMOTION_MS_MIN = 3_600_000

/**
 * Who goes next on one pool: start-time fair queueing over accounts (Goyal, Vin, Cheng 1996) within the first
 * tier that has anyone to serve. An account's head starts at the later of the tier's clock and the account's
 * last finish; the earliest start goes first, among equals the older video. A head whose model is loaded may
 * go before fairer ones of its tier, as long as none of them is passed over for longer than the bound then.
 * Plain data and no clock, so that the forecast chooses exactly as the gate does. The time of a choice is
 * logarithmic in the number of accounts.
 */
export class FairQueue {
  readonly #tiers: readonly TierQueue<Head>[]
  /**
   * Heads that wait because their key is at a limit, by key; those whose account is wait in their tier's
   * queue.
   */
  readonly #waitingByKey = new Map<string, Head[]>()

  /**
   * `time` stays the caller's, who advances it with each choice that is carried out. `current`: what stands
   * in a head's place by now, itself where nothing has changed; asked when its turn has come.
   */
  constructor(time: VirtualTime, heads: Iterable<Head> = [], current: Current<Head> = (head) => head) {
    const renewed: Current<Head> = (head) => {
      const now = current(head)
      if (now !== head && now !== null) this.push(now)
      return now
    }
    this.#tiers = SERVICE_TIERS.map((tier) => new TierQueue(tier, time.of(tier), renewed))
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
    for (;;) {
      for (const queue of this.#tiers) {
        if (queue.isEmpty) continue
        const parts = { limitOf, switching, others }
        const fairest = this.#nextOf(queue, parts)
        if (fairest === null) continue
        // Behind one of flex that waits for another pool may stand one whose deadline is nearer.
        if (this.#hasBefore(queue)) {
          queue.push(fairest)
          break
        }
        const { tier } = queue
        const clockMs = queue.startMs(fairest)
        const loaded = this.#loadedBefore(fairest, queue, parts)
        const head = loaded?.head ?? fairest
        const startTagMs = head === fairest ? clockMs : queue.startMs(head)
        const finishTagMs = startTagMs + (head.costMs * 100) / head.weight
        return { head, tier, clockMs, startTagMs, finishTagMs, passedOver: loaded?.passedOver ?? NONE }
      }
      if (this.#tiers.every(({ isEmpty }) => isEmpty)) return null
    }
  }

  /** Whether some of an earlier tier may go. */
  #hasBefore(queue: TierQueue<Head>): boolean {
    for (const before of this.#tiers) {
      if (before === queue) return false
      if (!before.isEmpty) return true
    }
    return false
  }

  /** Takes out the fairest head of the tier that may go, and those before it that wait for another pool. */
  #nextOf(queue: TierQueue<Head>, { limitOf, switching, others }: ChoiceParts): Head | null {
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
    queue: TierQueue<Head>,
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
    if (this.#waitingByKey.size === 0) return hasWaited
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
  const { putOffAtMs } = head
  if (nowMs - (putOffAtMs ?? nowMs) >= head.costMs || !others.waits(head, tier)) return false
  if (putOffAtMs === undefined) head.putOffAtMs = nowMs
  return true
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
