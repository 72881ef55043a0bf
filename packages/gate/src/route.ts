import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Head } from './choose.ts'
import type { Pool } from './fleet.ts'
import { FreeTimes } from './free-times.ts'

/*
 * Which of several pools that could make a video is worth waiting for: for standard and priority the one
 * where it is predicted to be finished first, for flex the cheapest, unless that would miss its deadline.
 */

/** Times that differ by no more than this share count as the same: predictions are wrong by more. */
const SAME_TIME = 0.05
/** So do costs: they are made of a measured pace. */
const SAME_COST = 0.01
/** Flex waits for cheaper pools while they are predicted to be done within this share of the time left. */
const FLEX_TIME_SHARE = 0.5
/** With more videos before it that only another pool can make, that pool is not waited for. */
const OWN_MAX = 256

/** A pool that a video could go to instead. */
export interface OtherPool {
  pool: Pick<Pool, 'slots' | 'loaded' | 'switchMs' | 'costPerHourMicros'>
  /** Milliseconds until each of its slots is free, of those that take the next video that comes. */
  slotsFreeInMs: readonly number[]
  /** The least of them, where that is found sooner; infinite without any. */
  firstFreeInMs: number
  /** Predicted milliseconds of the video there; null = it cannot make it. */
  costMsOf(head: Head): number | null
  /**
   * Milliseconds that each of the videos takes which wait for it in this tier and which the pool at hand
   * cannot make; null = there may be any number of them.
   */
  ownOf(tier: ServiceTier): readonly number[] | null
}

/** What the choice for the slots of one pool knows of the others. */
export interface Surroundings {
  pool: Pick<Pool, 'switchMs' | 'costPerHourMicros'>
  /** Milliseconds until the first of its slots that may be given away is free. */
  freeInMs: number
  /** The models that its free slots have loaded; empty = that is not known. */
  loaded: ReadonlySet<string>
  /** Flex videos that wait, of all pools. */
  flexQueued: number
  others: readonly OtherPool[]
}

/**
 * Says of the heads of one pool, asked in the order in which they would be served, which of them wait for
 * another pool. Each that does is counted there, so that the next one finds the slot taken.
 */
export class Elsewhere {
  readonly #here: Surroundings
  readonly #others: readonly Ahead[]
  readonly #verdicts = new Map<string, boolean>()
  #freeInMs: number
  /** How long ago all times were true: what was to be in so many milliseconds is so much nearer. */
  #agoMs = 0
  /** What the head that was asked for last waits for; null when it does not, or for what is cheaper. */
  taken: OtherPool | null = null
  /** When that one ends there. */
  takenEndInMs = 0
  /** With more flex videos than that some of those would not wait that do now. */
  flexQueuedMax = Number.POSITIVE_INFINITY

  constructor(here: Surroundings) {
    this.#here = here
    this.#freeInMs = here.freeInMs
    this.#others = here.others.map((other) => new Ahead(other))
  }

  /** Time has passed since it was made; of the rest only when a slot here is free is known anew. */
  moveOn(agoMs: number, freeInMs: number): void {
    this.#agoMs = agoMs
    this.#freeInMs = freeInMs
  }

  /** As if it were made now: whatever else it was made of is read again when it is needed. */
  renew(freeInMs: number): void {
    this.moveOn(0, freeInMs)
    this.taken = null
    this.flexQueuedMax = Number.POSITIVE_INFINITY
    this.#verdicts.clear()
    for (const ahead of this.#others) ahead.forget()
  }

  /** What is known of another pool, for which nobody waits, is not true any more. */
  lookAgainAt(other: OtherPool): void {
    for (const ahead of this.#others) if (ahead.other === other) ahead.forget()
  }

  /**
   * Whether the head waits for another pool; `tier`: the one that it is served in. A head that is asked for
   * again waits, or not, as before.
   */
  waits(head: Head, tier: ServiceTier): boolean {
    const known = this.#verdicts.get(head.videoId)
    if (known !== undefined) return known
    const waits = this.asked(head, tier)
    this.#verdicts.set(head.videoId, waits)
    return waits
  }

  /** As `waits`, of a head that was not asked for before, or did not wait. */
  asked(head: Head, tier: ServiceTier): boolean {
    this.taken = null
    return tier === 'flex' ? this.#waitsForCheaper(head) : this.#waitsForSooner(head, tier)
  }

  /** Finished there earlier than here; as early, but cheaper; of several the one that finishes it first. */
  #waitsForSooner(head: Head, tier: ServiceTier): boolean {
    const { pool, loaded } = this.#here
    const nowMs = this.#agoMs
    const isSwitch = loaded.size > 0 && !loaded.has(head.model)
    const endMs = Math.max(0, this.#freeInMs - nowMs) + (isSwitch ? pool.switchMs : 0) + head.costMs
    const ownCost = costOf(head.costMs, pool)
    let best: Ahead | undefined
    let bestEndMs = Number.POSITIVE_INFINITY
    for (const at of this.#others) {
      const costMs = at.other.costMsOf(head)
      if (costMs === null) continue
      // As early is soon enough where it is cheaper.
      const isCheaper = isCostBelow(costOf(costMs, at.other.pool), ownCost)
      const inTimeMs = isCheaper ? endMs * (1 + SAME_TIME) : endMs * (1 - SAME_TIME)
      const isSoonEnough = (ms: number) => (isCheaper ? ms <= inTimeMs : ms < inTimeMs)
      // However soon it began there, it would be too late.
      if (!isSoonEnough(costMs) || !isSoonEnough(Math.max(0, at.earliestMs - nowMs) + costMs)) continue
      const startMs = at.startMs(tier, nowMs)
      if (startMs === null) continue
      const end = startMs - nowMs + at.switchMs(head.model) + costMs
      if (!isSoonEnough(end) || end >= bestEndMs) continue
      best = at
      bestEndMs = end
    }
    if (best === undefined) return false
    this.taken = best.other
    this.takenEndInMs = nowMs + bestEndMs
    best.take(this.takenEndInMs)
    return true
  }

  /** As long as the pools where it is cheaper can make all flex videos that wait well before its deadline. */
  #waitsForCheaper(head: Head): boolean {
    const { pool, flexQueued, others } = this.#here
    const ownCost = costOf(head.costMs, pool)
    let perMs = 0
    let costMsMin = Number.POSITIVE_INFINITY
    for (const other of others) {
      const costMs = other.costMsOf(head)
      if (costMs === null || !isCostBelow(costOf(costMs, other.pool), ownCost)) continue
      perMs += other.pool.slots / Math.max(1, costMs)
      costMsMin = Math.min(costMsMin, costMs)
    }
    // As if all of them were like it. Without a cheaper pool there is none to wait for, deadline or not.
    if (perMs === 0 || flexQueued / perMs + costMsMin > head.expiresInMs * FLEX_TIME_SHARE) return false
    const queuedMax = (head.expiresInMs * FLEX_TIME_SHARE - costMsMin) * perMs
    this.flexQueuedMax = Math.min(this.flexQueuedMax, queuedMax)
    return true
  }
}

/** What a video costs there; not a number where the pool has declared no cost. */
function costOf(costMs: number, { costPerHourMicros }: Pick<Pool, 'costPerHourMicros'>): number {
  return costPerHourMicros === null ? Number.NaN : Number(costPerHourMicros) * costMs
}

/** Whether the one is less than the other; false where one of them is not known. */
function isCostBelow(one: number, other: number): boolean {
  return one < other * (1 - SAME_COST)
}

/** What another pool has before it. */
class Ahead {
  readonly other: OtherPool
  readonly #counted: ServiceTier[] = []
  /** Read when they are asked for: most heads need not be compared so closely. */
  readonly #free = new FreeTimes()
  #isRead = false
  #isUnknown = false

  constructor(other: OtherPool) {
    this.other = other
  }

  /** When the first of its slots is free, whoever gets it; infinite without one. */
  get earliestMs(): number {
    return this.#isRead ? this.#free.firstMs : this.other.firstFreeInMs
  }

  #read(): void {
    if (this.#isRead) return
    this.#isRead = true
    this.#free.set(this.other.slotsFreeInMs)
  }

  /** When a video of the tier that comes then could begin; null when that is not known. */
  startMs(tier: ServiceTier, nowMs: number): number | null {
    this.#read()
    this.#countOwn('priority', nowMs)
    if (tier !== 'priority') this.#countOwn(tier, nowMs)
    const { earliestMs } = this
    return this.#isUnknown || earliestMs === Number.POSITIVE_INFINITY ? null : Math.max(nowMs, earliestMs)
  }

  switchMs(model: string): number {
    const { loaded, switchMs } = this.other.pool
    const isKnown = loaded.length > 0 && loaded.every((slot) => slot.model !== null)
    return !isKnown || loaded.some((slot) => slot.model === model) ? 0 : switchMs
  }

  /** Gives the first free slot to a video that ends there then. */
  take(endMs: number): void {
    this.#free.giveFirst(endMs)
  }

  /** What was read of the pool is read again when it is asked for. */
  forget(): void {
    this.#isRead = false
    this.#counted.length = 0
    this.#isUnknown = false
  }

  /** What it alone can make goes first, as far as that is known. */
  #countOwn(tier: ServiceTier, nowMs: number): void {
    if (this.#counted.includes(tier)) return
    this.#counted.push(tier)
    const own = this.other.ownOf(tier)
    if (own === null || own.length > OWN_MAX) this.#isUnknown = true
    else for (const ms of own) this.take(Math.max(nowMs, finite(this.earliestMs)) + ms)
  }
}

/** Of a pool without a slot nothing is free, whatever it alone can make. */
function finite(ms: number): number {
  return ms === Number.POSITIVE_INFINITY ? 0 : ms
}
