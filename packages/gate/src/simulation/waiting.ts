import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { type Head, isPutOff, type Others } from '../choose.ts'
import { Elsewhere, type OtherPool } from '../route.ts'
import type { RunningCounts } from '../running-counts.ts'
import type { Line, SimulatedVideo } from './line.ts'
import type { SimulatedPool } from './simulated-pool.ts'

/** A flex video that waits for a cheaper pool is looked at whenever a hundredth of its time has gone by. */
const FLEX_LOOK_SHARE = 0.01
const LOOK_MS_MIN = 1_000
/** Milliseconds that two sums of the same times may differ by. */
const SAME_MS = 0.001
const NO_LINES: readonly never[] = []

/** Another pool, as those see it that may wait for it. */
interface Rival {
  readonly pool: SimulatedPool
  readonly other: OtherPool
  /** The times of its slots are known to those that wait. */
  isCounted: boolean
  /** Its slots that may be given away, and are not among those times: they take nobody. */
  uncountedIdle: number
}

/** One that waits; of a line of flex videos its first, for all of them. */
interface Waiter<Video extends SimulatedVideo> {
  line: Line<Video>
  head: Head
  /** What it waits for; null = for what is cheaper. */
  on: OtherPool | null
  endsAtMs: number
  /** As it left: no other waited for the same before it. */
  isFirst: boolean
}

/** What those that wait depend on besides the other pools. */
export interface WaitingParts<Video extends SimulatedVideo> {
  clock: { readonly nowMs: number }
  pool: SimulatedPool
  lines: ReadonlyMap<string, Line<Video>>
  running: RunningCounts
  flexQueued: () => number
  /** Another pool as an `OtherPool`; its times are asked for once, and are from `sinceMs` on. */
  otherPool: (
    pool: SimulatedPool,
    sinceMs: () => number,
    onCounted: (uncountedIdle: number) => void,
  ) => OtherPool
}

/**
 * Those of one pool's queue that wait for another pool, by the rule of the gate. They are kept from one look
 * to the next, out of the queue, and asked again only when something that they count on has become worse, or
 * somebody has come who goes before them: each look costs what is new. All of them are shown to the queue
 * again when one would not wait any more.
 */
export class Waiting<Video extends SimulatedVideo> implements Others {
  readonly #parts: WaitingParts<Video>
  readonly #rivals: Rival[] = []
  readonly #waiters = new Map<ServiceTier, Map<string, Waiter<Video>>>(
    SERVICE_TIERS.map((tier) => [tier, new Map()]),
  )
  readonly #tiers = [...this.#waiters.values()]
  readonly #lines = new Set<Line<Video>>()
  /** Tiers whose waiters have not been asked since there is another `#elsewhere`. */
  readonly #unasked = new Set<ServiceTier>()
  #made: Elsewhere | null = null
  /** What is known of the others, since `#sinceMs`; null = it is asked for anew. */
  #elsewhere: Elsewhere | null = null
  readonly #asked = { waits: (head: Head, tier: ServiceTier) => this.#others().asked(head, tier) }
  #sinceMs = 0
  /** When a slot here was free then. */
  #freeAtMs = 0
  #isStale = false
  #hasLimits = false
  #isLooking = false
  #onlyFirst = false
  /** Of the head that was asked for last while `isOver`, which was not put off. */
  #putOffAtMs: number | undefined
  readonly #unshown: Line<Video>[] = []
  /** One of them would not wait any more. */
  isOver = false
  /** When they are asked again at the latest. */
  lookAtMs = Number.POSITIVE_INFINITY

  constructor(parts: WaitingParts<Video>) {
    this.#parts = parts
  }

  get hasRivals(): boolean {
    return this.#rivals.length > 0
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0
  }

  /** Somebody waits who is to be asked again. */
  get isDue(): boolean {
    return this.#lines.size > 0 && (this.#isStale || this.#knowsModels || this.#hasLimits)
  }

  addRival(pool: SimulatedPool): void {
    // Workers of one pool are alike, whatever queue they read.
    if (pool.rules.pool === this.#parts.pool.rules.pool || this.#rivalOf(pool) !== undefined) return
    const other = this.#parts.otherPool(
      pool,
      () => this.#sinceMs,
      (uncountedIdle) => this.#noteCounted(pool, uncountedIdle),
    )
    this.#rivals.push({ pool, other, isCounted: false, uncountedIdle: 0 })
    this.#made = null
    this.#isStale = true
  }

  /**
   * Before the queue is asked who goes; of `first` none that stands behind one that waits in its line.
   * Returns false when one of those that waited would not any more: all are to be restored.
   */
  beginLook(of: 'all' | 'first' = 'all'): boolean {
    const { clock, running } = this.#parts
    this.isOver = false
    this.#onlyFirst = of === 'first'
    if (this.isEmpty || this.#isOutdated) this.#forgetOthers()
    this.#elsewhere?.moveOn(clock.nowMs - this.#sinceMs, this.#freeNowAtMs - this.#sinceMs)
    this.#isLooking = true
    // They will run as well, and may be the last of their account or key that may.
    if (this.#hasLimits) for (const { head } of this.#all()) if (hasLimit(head)) running.add(head, 1)
    // Whoever is at a limit because of them may be older, and goes first.
    return this.isEmpty || (!this.#hasLimits && this.doAllWait())
  }

  /** Whether all of them still wait, those too that nobody was asked after. */
  doAllWait(): boolean {
    if (!this.isEmpty) this.#askUpTo('flex')
    return !this.isOver
  }

  /** Returns the lines whose first that is not known to wait is to be shown to the queue. */
  endLook(): readonly Line<Video>[] {
    this.#isLooking = false
    this.#uncount()
    return this.#unshown.length === 0 ? NO_LINES : this.#unshown.splice(0)
  }

  #uncount(): void {
    const { running } = this.#parts
    if (this.#hasLimits) for (const { head } of this.#all()) if (hasLimit(head)) running.add(head, -1)
  }

  waits(head: Head, tier: ServiceTier): boolean {
    // Who goes before some that wait makes it later for them.
    if (this.#elsewhere !== null && this.#unasked.size === 0 && this.#hasBehind(tier)) this.#forgetOthers()
    this.#askUpTo(tier)
    if (!this.isOver) return this.#others().asked(head, tier)
    // None goes before one that waited and would not any more: all are asked again at once.
    this.#putOffAtMs = head.putOffAtMs
    return true
  }

  behind(head: Head): Head | null {
    const { lines, pool, clock, running } = this.#parts
    const line = lines.get(head.queueKey)
    if (line === undefined) return null
    if (this.isOver) head.putOffAtMs = this.#putOffAtMs
    const isFlex = line.kind.isFlex && !line.isPromoted
    const place = isFlex ? line.size : (line.putOff[pool.number] ?? 0) + 1
    line.putOff[pool.number] = place
    this.#lines.add(line)
    const waiter: Waiter<Video> = { line, head, on: null, endsAtMs: 0, isFirst: false }
    this.#noteAnswer(waiter)
    const waiters = this.#waiters.get(isFlex ? 'flex' : tierServed(head))
    const key = isFlex ? head.queueKey : head.videoId
    const isNew = waiters?.has(key) === false
    waiters?.set(key, waiter)
    if (hasLimit(head)) {
      this.#hasLimits = true
      if (this.#isLooking && isNew) running.add(head, 1)
    }
    if (this.#onlyFirst) {
      line.heads[pool.number] = null
      this.#unshown.push(line)
      return null
    }
    const behind = line.at(place)?.headOn(pool.number, clock.nowMs) ?? null
    line.heads[pool.number] = behind
    return behind
  }

  /** A slot of another pool was given to a video, which stood at this place of its line. */
  noteGiven(
    to: { line: Line<Video>; video: Video; place: number; endsAtMs: number },
    from: { pool: SimulatedPool; idleBefore: number },
  ): void {
    const rival = this.#rivalOf(from.pool)
    const waiter = this.#leave(to.line, to.video, to.place)
    // Of a line of flex its first is asked, and the next one may have less time.
    const { first } = to.line
    if (this.#lines.has(to.line) && first !== null && first.expiresAtMs < to.video.expiresAtMs)
      this.#isStale = true
    const isAwaited = waiter !== undefined && waiter.on !== null
    const isAsForecast =
      isAwaited &&
      waiter.on === rival?.other &&
      waiter.isFirst &&
      Math.abs(to.endsAtMs - waiter.endsAtMs) < SAME_MS
    // It was counted for another slot than it got.
    if (isAwaited && !isAsForecast) this.#isStale = true
    if (rival === undefined) return
    const wasCounted = from.idleBefore > rival.uncountedIdle
    if (!wasCounted) rival.uncountedIdle -= 1
    else if (rival.isCounted && !isAsForecast) this.#isStale = true
  }

  /** Another pool has given all that it will in this pass. */
  noteFilled(pool: SimulatedPool): void {
    const rival = this.#rivalOf(pool)
    if (rival?.isCounted !== true || pool.idleCount <= rival.uncountedIdle) return
    if (this.#firstOn(rival.other) !== undefined) {
      this.#isStale = true
      return
    }
    this.#elsewhere?.lookAgainAt(rival.other)
    rival.isCounted = false
  }

  /** There is one video more that only another pool can make. */
  noteOwnOf(pool: SimulatedPool): void {
    if (this.#rivalOf(pool) !== undefined) this.#lookAgain()
  }

  noteFlexQueued(): void {
    if (this.#elsewhere !== null && this.#parts.flexQueued() > this.#elsewhere.flexQueuedMax)
      this.#lookAgain()
  }

  #lookAgain(): void {
    const { pool } = this.#parts
    this.#isStale = true
    if (!this.isEmpty && pool.hasIdle) pool.isWoken = true
  }

  has(line: Line<Video>): boolean {
    return this.#lines.has(line)
  }

  /** Forgets who waits, and returns the lines whose first is to be shown to the queue again. */
  restore(): Line<Video>[] {
    const { pool } = this.#parts
    if (this.#isLooking) this.#uncount()
    // Others of their account and key were kept waiting by them.
    if (this.#hasLimits) for (const { head } of this.#all()) if (hasLimit(head)) pool.queue.resume(head)
    this.#hasLimits = false
    for (const waiters of this.#waiters.values()) waiters.clear()
    const lines = [...this.#lines]
    this.#lines.clear()
    for (const line of lines) {
      line.putOff[pool.number] = 0
      line.heads[pool.number] = null
    }
    this.#unasked.clear()
    this.#forgetOthers()
    this.isOver = false
    return lines
  }

  /** Takes out who was given a slot elsewhere; undefined = it was not among those that wait. */
  #leave(line: Line<Video>, video: Video, place: number): Waiter<Video> | undefined {
    const { pool } = this.#parts
    const putOff = line.putOff[pool.number] ?? 0
    if (place >= putOff) return undefined
    line.putOff[pool.number] = putOff - 1
    if (putOff === 1) this.#lines.delete(line)
    for (const waiters of this.#tiers) {
      const waiter = waiters.get(video.id)
      if (waiter === undefined) continue
      waiter.isFirst = this.#firstOn(waiter.on) === waiter
      waiters.delete(video.id)
      return waiter
    }
    // Of flex the others wait on, and the last takes the line with it.
    if (putOff === 1) this.#waiters.get('flex')?.delete(line.kind.queueKey)
    return undefined
  }

  #firstOn(on: OtherPool | null): Waiter<Video> | undefined {
    for (const waiters of this.#tiers)
      for (const waiter of waiters.values()) if (waiter.on === on) return waiter
    return undefined
  }

  *#all(): Generator<Waiter<Video>> {
    for (const waiters of this.#tiers) yield* waiters.values()
  }

  #rivalOf(pool: SimulatedPool): Rival | undefined {
    for (const rival of this.#rivals) if (rival.pool === pool) return rival
    return undefined
  }

  /** What is loaded changes with each video. */
  get #knowsModels(): boolean {
    const knows = ({ rules }: SimulatedPool) => rules.loadedFirst !== null
    return knows(this.#parts.pool) || this.#rivals.some((rival) => knows(rival.pool))
  }

  get #isOutdated(): boolean {
    return (
      this.isDue ||
      this.lookAtMs <= this.#parts.clock.nowMs ||
      // A slot here is free sooner than when they were asked.
      this.#freeNowAtMs < this.#freeAtMs
    )
  }

  get #freeNowAtMs(): number {
    return Math.max(this.#parts.clock.nowMs, this.#parts.pool.firstFreeAtMs)
  }

  #forgetOthers(): void {
    this.#isStale = false
    this.lookAtMs = Number.POSITIVE_INFINITY
    if (this.#elsewhere !== null)
      for (const rival of this.#rivals) {
        rival.isCounted = false
        rival.uncountedIdle = 0
      }
    this.#elsewhere = null
    if (this.#lines.size > 0)
      for (const [tier, waiters] of this.#waiters) if (waiters.size > 0) this.#unasked.add(tier)
  }

  #noteCounted(pool: SimulatedPool, uncountedIdle: number): void {
    const rival = this.#rivalOf(pool)
    if (rival === undefined) return
    rival.isCounted = true
    rival.uncountedIdle = uncountedIdle
  }

  /** Read when it is asked for: most choices are made without. */
  #others(): Elsewhere {
    if (this.#elsewhere !== null) return this.#elsewhere
    const { clock } = this.#parts
    this.#sinceMs = clock.nowMs
    this.#freeAtMs = this.#freeNowAtMs
    this.#made ??= this.#make()
    this.#made.renew(this.#freeAtMs - clock.nowMs)
    this.#elsewhere = this.#made
    return this.#made
  }

  #make(): Elsewhere {
    const { pool, flexQueued } = this.#parts
    return new Elsewhere({
      pool: pool.rules,
      freeInMs: 0,
      get loaded() {
        return pool.loaded()
      },
      get flexQueued() {
        return flexQueued()
      },
      others: this.#rivals.map(({ other }) => other),
    })
  }

  #hasBehind(tier: ServiceTier): boolean {
    if (tier === 'flex') return false
    if (tier === 'priority' && (this.#waiters.get('standard')?.size ?? 0) > 0) return true
    return false
  }

  /** Asks those again that go before the others of this tier, as long as all of them wait. */
  #askUpTo(last: ServiceTier): void {
    if (this.#unasked.size === 0) return
    for (const tier of SERVICE_TIERS) {
      if (this.#unasked.delete(tier))
        for (const waiter of this.#waiters.get(tier)?.values() ?? []) {
          if (!this.#asksAgain(waiter, tier)) {
            this.isOver = true
            this.#isStale = true
            return
          }
        }
      if (tier === last) return
    }
  }

  #asksAgain(waiter: Waiter<Video>, tier: ServiceTier): boolean {
    const { pool, clock } = this.#parts
    const { first } = waiter.line
    if (tier === 'flex') {
      if (first === null) return true
      waiter.head = first.headOn(pool.number, clock.nowMs)
    }
    if (!isPutOff(waiter.head, tier, this.#asked, clock)) return false
    this.#noteAnswer(waiter)
    return true
  }

  #noteAnswer(waiter: Waiter<Video>): void {
    waiter.on = this.#elsewhere?.taken ?? null
    waiter.endsAtMs = this.#sinceMs + (this.#elsewhere?.takenEndInMs ?? 0)
    this.lookAtMs = Math.min(this.lookAtMs, this.#parts.clock.nowMs + this.#waitsMs(waiter.head))
  }

  /** How long it does, at most; of flex, until some of the time to its deadline has gone by. */
  #waitsMs({ putOffAtMs, costMs, expiresInMs }: Head): number {
    const { nowMs } = this.#parts.clock
    const leftMs = putOffAtMs === undefined ? expiresInMs * FLEX_LOOK_SHARE : putOffAtMs + costMs - nowMs
    return Math.max(LOOK_MS_MIN, leftMs)
  }
}

function hasLimit({ accountRunningMax, keyRunningMax }: Head): boolean {
  return accountRunningMax !== null || keyRunningMax !== null
}

/** Flex is among the others as standard. */
function tierServed({ tier }: Head): ServiceTier {
  return tier === 'flex' ? 'standard' : tier
}
