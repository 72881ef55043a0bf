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
  /** Its place among the costs of a head. */
  number: number
  pool: Pick<Pool, 'slots' | 'loaded' | 'switchMs' | 'costPerHourMicros'>
  /** Sets milliseconds until each of its slots is free, of those that take the next video that comes. */
  readSlots(free: FreeTimes): void
  /** The least of them, which is found sooner; infinite without any. */
  firstFreeInMs: number
  /**
   * Milliseconds that each of the videos takes which wait for it in this tier and which the pool at hand
   * cannot make; null = there may be any number of them.
   */
  ownOf(tier: ServiceTier): readonly number[] | null
}

/** Predicted milliseconds of a head by the number of each other pool; infinite where that cannot make it. */
export type HeadCosts = readonly number[]

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
  costsOf(head: Head): HeadCosts
}

/**
 * Says of the heads of one pool, asked in the order in which they would be served, which of them wait for
 * another pool. Each that does is counted there, so that the next one finds the slot taken.
 */
export class Elsewhere {
  readonly #here: Surroundings
  readonly #others: readonly Ahead[]
  readonly #pricePerMs: number
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
    this.#pricePerMs = pricePerMsOf(here.pool)
    this.#others = here.others.map((other) => new Ahead(other))
  }

  /** What a head takes elsewhere, for `asked`: that never changes while it waits. */
  costsOf(head: Head): HeadCosts {
    return this.#here.costsOf(head)
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
    if (this.#verdicts.size > 0) this.#verdicts.clear()
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
  asked(head: Head, tier: ServiceTier, costs = this.costsOf(head)): boolean {
    this.taken = null
    return tier === 'flex' ? this.#waitsForCheaper(head, costs) : this.#waitsForSooner(head, tier, costs)
  }

  /** Finished there earlier than here; as early, but cheaper; of several the one that finishes it first. */
  #waitsForSooner(head: Head, tier: ServiceTier, costs: HeadCosts): boolean {
    const { pool, loaded } = this.#here
    const nowMs = this.#agoMs
    const { costMs: costHereMs, model } = head
    const isSwitch = loaded.size > 0 && !loaded.has(model)
    const endMs = Math.max(0, this.#freeInMs - nowMs) + (isSwitch ? pool.switchMs : 0) + costHereMs
    const ownPrice = this.#pricePerMs * costHereMs
    let best: Ahead | undefined
    let bestEndMs = Number.POSITIVE_INFINITY
    for (const at of this.#others) {
      const costMs = costs[at.number] ?? Number.POSITIVE_INFINITY
      if (costMs === Number.POSITIVE_INFINITY) continue
      // As early is soon enough where it is cheaper.
      const isCheaper = isPriceBelow(at.pricePerMs * costMs, ownPrice)
      const inTimeMs = isCheaper ? endMs * (1 + SAME_TIME) : endMs * (1 - SAME_TIME)
      if (costMs > inTimeMs) continue
      const soonestMs = Math.max(0, at.earliestMs - nowMs) + costMs
      // Whatever else were before it there, it would be too late.
      if (soonestMs > inTimeMs || (soonestMs === inTimeMs && !isCheaper)) continue
      if (tier === 'priority' ? !at.hasPriority : !at.hasOthers) at.countOwn(tier, nowMs)
      if (at.isUnknown || at.firstMs === Number.POSITIVE_INFINITY) continue
      const startInMs = Math.max(nowMs, at.firstMs) - nowMs
      const atEndMs = startInMs + (at.knowsModels ? at.switchMs(model) : 0) + costMs
      if (atEndMs >= bestEndMs || atEndMs > inTimeMs || (atEndMs === inTimeMs && !isCheaper)) continue
      best = at
      bestEndMs = atEndMs
    }
    if (best === undefined) return false
    this.taken = best.other
    this.takenEndInMs = nowMs + bestEndMs
    best.take(this.takenEndInMs)
    return true
  }

  /** As long as the pools where it is cheaper can make all flex videos that wait well before its deadline. */
  #waitsForCheaper(head: Head, costs: HeadCosts): boolean {
    const { flexQueued } = this.#here
    const ownPrice = this.#pricePerMs * head.costMs
    let perMs = 0
    let costMsMin = Number.POSITIVE_INFINITY
    for (const { number, other, pricePerMs } of this.#others) {
      const costMs = costs[number] ?? Number.POSITIVE_INFINITY
      if (!isPriceBelow(pricePerMs * costMs, ownPrice)) continue
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

/** What a millisecond costs there; not a number where the pool has declared no cost. */
function pricePerMsOf({ costPerHourMicros }: Pick<Pool, 'costPerHourMicros'>): number {
  return costPerHourMicros === null ? Number.NaN : Number(costPerHourMicros)
}

/** Whether the one is less than the other; false where one of them is not known. */
function isPriceBelow(one: number, other: number): boolean {
  return one < other * (1 - SAME_COST)
}

/** What another pool has before it. */
class Ahead {
  readonly other: OtherPool
  readonly number: number
  readonly pricePerMs: number
  /** Something may be known to be loaded there. */
  readonly knowsModels: boolean
  /** There may be any number of videos that it alone can make. */
  isUnknown = false
  /** Those that it alone can make were counted, of priority and of standard. */
  hasPriority = false
  hasOthers = false
  /** Read when they are asked for: most heads need not be compared so closely. */
  readonly #free = new FreeTimes()
  #isRead = false
  /** When the first of its slots is free, as it was read; infinite without one. */
  firstMs = 0

  constructor(other: OtherPool) {
    this.other = other
    this.number = other.number
    this.pricePerMs = pricePerMsOf(other.pool)
    this.knowsModels = other.pool.loaded.length > 0
  }

  /** When the first of its slots is free, whoever gets it; infinite without one. */
  get earliestMs(): number {
    return this.#isRead ? this.firstMs : this.other.firstFreeInMs
  }

  #read(): void {
    if (this.#isRead) return
    this.#isRead = true
    this.other.readSlots(this.#free)
    this.firstMs = this.#free.firstMs
  }

  /** What it alone can make goes first, as far as that is known. */
  countOwn(tier: ServiceTier, nowMs: number): void {
    this.#read()
    if (!this.hasPriority) this.#countOwnOf('priority', nowMs)
    this.hasPriority = true
    if (tier === 'priority') return
    this.#countOwnOf(tier, nowMs)
    this.hasOthers = true
  }

  switchMs(model: string): number {
    const { loaded, switchMs } = this.other.pool
    const isKnown = loaded.length > 0 && loaded.every((slot) => slot.model !== null)
    return !isKnown || loaded.some((slot) => slot.model === model) ? 0 : switchMs
  }

  /** Gives the first free slot to a video that ends there then. */
  take(endMs: number): void {
    this.#free.giveFirst(endMs)
    this.firstMs = this.#free.firstMs
  }

  /** What was read of the pool is read again when it is asked for. */
  forget(): void {
    this.#isRead = false
    this.hasPriority = false
    this.hasOthers = false
    this.isUnknown = false
  }

  #countOwnOf(tier: ServiceTier, nowMs: number): void {
    const own = this.other.ownOf(tier)
    if (own === null || own.length > OWN_MAX) this.isUnknown = true
    else for (const ms of own) this.take(Math.max(nowMs, finite(this.earliestMs)) + ms)
  }
}

/** Of a pool without a slot nothing is free, whatever it alone can make. */
function finite(ms: number): number {
  return ms === Number.POSITIVE_INFINITY ? 0 : ms
}
