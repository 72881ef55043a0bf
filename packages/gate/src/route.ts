import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Head } from './choose.ts'
import type { Pool } from './fleet.ts'
import { Heap } from './heap.ts'

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

  constructor(here: Surroundings) {
    this.#here = here
    this.#others = here.others.map((other) => new Ahead(other))
  }

  /** Whether the head waits for another pool; `tier`: the one that it is served in. */
  waits(head: Head, tier: ServiceTier): boolean {
    const known = this.#verdicts.get(head.videoId)
    if (known !== undefined) return known
    const waits = tier === 'flex' ? this.#waitsForCheaper(head) : this.#waitsForSooner(head, tier)
    this.#verdicts.set(head.videoId, waits)
    return waits
  }

  /** Finished there earlier than here; as early, but cheaper; of several the one that finishes it first. */
  #waitsForSooner(head: Head, tier: ServiceTier): boolean {
    const { pool, freeInMs, loaded } = this.#here
    const isSwitch = loaded.size > 0 && !loaded.has(head.model)
    const endMs = freeInMs + (isSwitch ? pool.switchMs : 0) + head.costMs
    let best: { at: Ahead; startMs: number; endMs: number; costMs: number } | undefined
    for (const at of this.#others) {
      const costMs = at.other.costMsOf(head)
      if (costMs === null) continue
      const isCheaper = isCostBelow({ costMs, pool: at.other.pool }, { costMs: head.costMs, pool })
      const isSoonEnough = (end: number) =>
        end < endMs * (1 - SAME_TIME) || (isCheaper && end <= endMs * (1 + SAME_TIME))
      // However soon it began there, it would be too late.
      if (!isSoonEnough(costMs) || !isSoonEnough(at.earliestMs + costMs)) continue
      const startMs = at.startMs(tier)
      if (startMs === null) continue
      const end = startMs + at.switchMs(head.model) + costMs
      if (isSoonEnough(end) && (best === undefined || end < best.endMs))
        best = { at, startMs, endMs: end, costMs }
    }
    best?.at.take(best.endMs)
    return best !== undefined
  }

  /** As long as the pools where it is cheaper can make all flex videos that wait well before its deadline. */
  #waitsForCheaper(head: Head): boolean {
    const { pool, flexQueued, others } = this.#here
    let perMs = 0
    let costMsMin = Number.POSITIVE_INFINITY
    for (const other of others) {
      const costMs = other.costMsOf(head)
      if (costMs === null || !isCostBelow({ costMs, pool: other.pool }, { costMs: head.costMs, pool }))
        continue
      perMs += other.pool.slots / Math.max(1, costMs)
      costMsMin = Math.min(costMsMin, costMs)
    }
    // As if all of them were like it. Without a cheaper pool there is none to wait for, deadline or not.
    return perMs > 0 && flexQueued / perMs + costMsMin <= head.expiresInMs * FLEX_TIME_SHARE
  }
}

interface Priced {
  costMs: number
  pool: Pick<Pool, 'costPerHourMicros'>
}

/** Whether a video costs less at one pool than at the other; false where one of them has declared no cost. */
function isCostBelow(one: Priced, other: Priced): boolean {
  const of = ({ costMs, pool: { costPerHourMicros } }: Priced) =>
    costPerHourMicros === null ? Number.NaN : Number(costPerHourMicros) * costMs
  return of(one) < of(other) * (1 - SAME_COST)
}

/** What another pool has before it. */
class Ahead {
  readonly other: OtherPool
  readonly #counted = new Set<ServiceTier>()
  /** Made when it is asked for: most heads need not be compared so closely. */
  #freed: Heap<number> | undefined
  #isUnknown = false

  constructor(other: OtherPool) {
    this.other = other
  }

  /** When the first of its slots is free, whoever gets it; infinite without one. */
  get earliestMs(): number {
    return this.#freeMs.peek() ?? Number.POSITIVE_INFINITY
  }

  get #freeMs(): Heap<number> {
    if (this.#freed !== undefined) return this.#freed
    const freed = new Heap<number>((a, b) => a < b)
    for (const ms of this.other.slotsFreeInMs) freed.push(ms)
    this.#freed = freed
    return freed
  }

  /** When a video of the tier could begin; null when that is not known. */
  startMs(tier: ServiceTier): number | null {
    for (const above of tier === 'priority' ? [tier] : (['priority', tier] as const)) this.#countOwn(above)
    return this.#isUnknown ? null : (this.#freeMs.peek() ?? null)
  }

  switchMs(model: string): number {
    const { loaded, switchMs } = this.other.pool
    const isKnown = loaded.length > 0 && loaded.every((slot) => slot.model !== null)
    return !isKnown || loaded.some((slot) => slot.model === model) ? 0 : switchMs
  }

  /** Gives the first free slot to a video that ends there then. */
  take(endMs: number): void {
    this.#freeMs.pop()
    this.#freeMs.push(endMs)
  }

  /** What it alone can make goes first, as far as that is known. */
  #countOwn(tier: ServiceTier): void {
    if (this.#counted.has(tier)) return
    this.#counted.add(tier)
    const own = this.other.ownOf(tier)
    if (own === null || own.length > OWN_MAX) this.#isUnknown = true
    else for (const ms of own) this.take((this.#freeMs.peek() ?? 0) + ms)
  }
}
