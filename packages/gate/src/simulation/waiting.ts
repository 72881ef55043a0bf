import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { type Head, isPutOff, type Others } from '../choose.ts'
import { Elsewhere, type HeadCosts, type OtherPool, type Surroundings } from '../route.ts'
import type { RunningCounts } from '../running-counts.ts'
import type { Line, SimulatedHead, SimulatedVideo } from './line.ts'
import type { Rival } from './rival.ts'
import type { SimulatedPool } from './simulated-pool.ts'
import { Waiter, Waiters } from './waiters.ts'

/** A flex video that waits for a cheaper pool is looked at whenever a hundredth of its time has gone by. */
const FLEX_LOOK_SHARE = 0.01
const LOOK_MS_MIN = 1_000
/** Milliseconds that two sums of the same times may differ by. */
const SAME_MS = 0.001
const NO_LINES: readonly never[] = []

/** What those that wait depend on besides the other pools. */
export interface WaitingParts<Video extends SimulatedVideo> {
  clock: { readonly nowMs: number }
  pool: SimulatedPool
  lines: ReadonlyMap<string, Line<Video>>
  running: RunningCounts
  flexQueued: () => number
}

/**
 * Those of one pool's queue that wait for another pool, by the rule of the gate. They are kept from one look
 * to the next, out of the queue, and asked again only when something that they count on has become worse, or
 * somebody has come who goes before them: each look costs what is new. All of them are shown to the queue
 * again when one would not wait any more.
 */
export class Waiting<Video extends SimulatedVideo> implements Others {
  readonly #parts: WaitingParts<Video>
  readonly #rivals: Rival<Video>[] = []
  readonly #waiters: Readonly<Record<ServiceTier, Waiters<Video>>> = {
    priority: new Waiters(),
    standard: new Waiters(),
    flex: new Waiters(),
  }
  readonly #tiers = SERVICE_TIERS.map((tier) => this.#waiters[tier])
  readonly #lines = new Set<Line<Video>>()
  /** Of each line one that waits, which leads to the others of it. */
  readonly #ofLine = new Map<Line<Video>, Waiter<Video> | null>()
  /** Some have not been asked since there is another `#elsewhere`. */
  #hasUnasked = false
  #made: Elsewhere | null = null
  /** What is known of the others, since `#sinceMs`; null = it is asked for anew. */
  #elsewhere: Elsewhere | null = null
  readonly #asked = {
    waits: (head: Head, tier: ServiceTier) => this.#others().asked(head, tier, this.#costs),
  }
  /** Of the head that is asked for. */
  #costs: HeadCosts = []
  #sinceMs = 0
  /** When a slot here was free then. */
  #freeAtMs = 0
  #isStale = false
  /** What is loaded somewhere is known, and changes with each video. */
  #knowsModels = false
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

  get pool(): SimulatedPool {
    return this.#parts.pool
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

  addRival(pool: SimulatedPool, make: () => Rival<Video>): void {
    // Workers of one pool are alike, whatever queue they read.
    if (pool.rules.pool === this.pool.rules.pool || this.#rivalOf(pool) !== undefined) return
    this.#rivals.push(make())
    if (pool.rules.loadedFirst !== null || this.#parts.pool.rules.loadedFirst !== null)
      this.#knowsModels = true
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
    if (this.isEmpty || this.#isOutdated()) this.#forgetOthers()
    this.#elsewhere?.moveOn(clock.nowMs - this.#sinceMs, this.#freeNowAtMs() - this.#sinceMs)
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
    if (this.#elsewhere !== null && !this.#hasUnasked && this.#hasBehind(tier)) this.#forgetOthers()
    this.#askUpTo(tier)
    this.#made ??= this.#make()
    this.#costs = this.#made.costsOf(head)
    if (!this.isOver) return this.#others().asked(head, tier, this.#costs)
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
    const waiter = new Waiter(line, head, { costs: this.#costs, isWhole: isFlex })
    this.#noteAnswer(waiter)
    const isNew = this.#add(waiter)
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
    // Of a line of flex its first is asked, and the next one may have less time, or more left to do.
    const { first } = to.line
    if (this.#lines.has(to.line) && first !== null && !waitsAsWell(first, to.video)) this.#isStale = true
    const isAwaited = waiter !== undefined && waiter.on !== null
    const isAsForecast =
      isAwaited && waiter.on === rival && waiter.isFirst && Math.abs(to.endsAtMs - waiter.endsAtMs) < SAME_MS
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
    if (this.#firstOn(rival) !== undefined) {
      this.#isStale = true
      return
    }
    this.#elsewhere?.lookAgainAt(rival)
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
    for (const waiters of this.#tiers) waiters.clear()
    const lines = [...this.#lines]
    this.#lines.clear()
    for (const line of lines) {
      this.#ofLine.set(line, null)
      line.putOff[pool.number] = 0
      line.heads[pool.number] = null
    }
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
    const waiter = this.#find(line, video.id)
    if (waiter !== null) {
      waiter.isFirst = this.#firstOn(waiter.on) === waiter
      this.#remove(waiter)
      return waiter
    }
    // Of flex the others wait on, and the last takes the line with it.
    const whole = putOff === 1 ? this.#find(line, null) : null
    if (whole !== null) this.#remove(whole)
    return undefined
  }

  /** Among those of a line that wait; without a video the one that stands for all of them. */
  #find(line: Line<Video>, videoId: string | null): Waiter<Video> | null {
    let waiter = this.#ofLine.get(line) ?? null
    for (; waiter !== null; waiter = waiter.nextOfLine)
      if (videoId === null ? waiter.isWhole : !waiter.isWhole && waiter.head.videoId === videoId) break
    return waiter
  }

  /** Adds one that waits, or puts it in the place of the same. Returns whether it did not wait before. */
  #add(waiter: Waiter<Video>): boolean {
    const { line, isWhole, head } = waiter
    const known = this.#find(line, isWhole ? null : head.videoId)
    this.#ofTier(waiter).put(waiter, known)
    if (known !== null) this.#removeFromLine(known)
    waiter.nextOfLine = this.#ofLine.get(line) ?? null
    this.#ofLine.set(line, waiter)
    return known === null
  }

  #remove(waiter: Waiter<Video>): void {
    this.#ofTier(waiter).remove(waiter)
    this.#removeFromLine(waiter)
  }

  #removeFromLine(waiter: Waiter<Video>): void {
    let before = this.#ofLine.get(waiter.line) ?? null
    if (before === waiter) this.#ofLine.set(waiter.line, waiter.nextOfLine)
    else {
      while (before !== null && before.nextOfLine !== waiter) before = before.nextOfLine
      if (before !== null) before.nextOfLine = waiter.nextOfLine
    }
    waiter.nextOfLine = null
  }

  #ofTier({ isWhole, head }: Waiter<Video>): Waiters<Video> {
    return this.#waiters[isWhole ? 'flex' : tierServed(head)]
  }

  #firstOn(on: OtherPool | null): Waiter<Video> | undefined {
    for (const { first } of this.#tiers)
      for (let waiter = first; waiter !== null; waiter = waiter.next) if (waiter.on === on) return waiter
    return undefined
  }

  *#all(): Generator<Waiter<Video>> {
    for (const { first } of this.#tiers)
      for (let waiter = first; waiter !== null; waiter = waiter.next) yield waiter
  }

  #rivalOf(pool: SimulatedPool): Rival<Video> | undefined {
    for (const rival of this.#rivals) if (rival.is(pool)) return rival
    return undefined
  }

  #isOutdated(): boolean {
    return (
      this.isDue ||
      this.lookAtMs <= this.#parts.clock.nowMs ||
      // A slot here is free sooner than when they were asked.
      this.#freeNowAtMs() < this.#freeAtMs
    )
  }

  #freeNowAtMs(): number {
    return Math.max(this.#parts.clock.nowMs, this.#parts.pool.firstFreeAtMs)
  }

  #forgetOthers(): void {
    this.#isStale = false
    this.lookAtMs = Number.POSITIVE_INFINITY
    if (this.#elsewhere !== null) for (const rival of this.#rivals) rival.forget()
    this.#elsewhere = null
    this.#hasUnasked = false
    for (const waiters of this.#tiers) {
      waiters.isUnasked = !waiters.isEmpty
      if (waiters.isUnasked) this.#hasUnasked = true
    }
  }

  /** Read when it is asked for: most choices are made without. */
  #others(): Elsewhere {
    if (this.#elsewhere !== null) return this.#elsewhere
    const { clock } = this.#parts
    this.#sinceMs = clock.nowMs
    for (const rival of this.#rivals) rival.sinceMs = clock.nowMs
    this.#freeAtMs = this.#freeNowAtMs()
    this.#made ??= this.#make()
    this.#made.renew(this.#freeAtMs - clock.nowMs)
    this.#elsewhere = this.#made
    return this.#made
  }

  #make(): Elsewhere {
    return new Elsewhere(new Here(this.#parts, this.#rivals))
  }

  #hasBehind(tier: ServiceTier): boolean {
    if (tier === 'flex') return false
    if (tier === 'priority' && !this.#waiters.standard.isEmpty) return true
    return false
  }

  /** Asks those again that go before the others of this tier, as long as all of them wait. */
  #askUpTo(last: ServiceTier): void {
    if (!this.#hasUnasked) return
    for (const tier of SERVICE_TIERS) {
      if (!this.#askAll(this.#waiters[tier], tier)) {
        this.isOver = true
        this.#isStale = true
        break
      }
      if (tier === last) break
    }
    this.#hasUnasked = this.#tiers.some(({ isUnasked }) => isUnasked)
  }

  /** Returns whether all of them wait, those that were not to be asked too. */
  #askAll(waiters: Waiters<Video>, tier: ServiceTier): boolean {
    if (!waiters.isUnasked) return true
    waiters.isUnasked = false
    for (let waiter = waiters.first; waiter !== null; waiter = waiter.next)
      if (!this.#asksAgain(waiter, tier)) return false
    return true
  }

  #asksAgain(waiter: Waiter<Video>, tier: ServiceTier): boolean {
    const { pool, clock } = this.#parts
    const { first } = waiter.line
    if (tier === 'flex') {
      if (first === null) return true
      waiter.head = first.headOn(pool.number, clock.nowMs)
      waiter.costs = this.#others().costsOf(waiter.head)
    }
    this.#costs = waiter.costs
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
  #waitsMs(head: Head): number {
    const { putOffAtMs } = head
    const leftMs =
      putOffAtMs === undefined
        ? head.expiresInMs * FLEX_LOOK_SHARE
        : putOffAtMs + head.costMs - this.#parts.clock.nowMs
    return Math.max(LOOK_MS_MIN, leftMs)
  }
}

/** What the choices for the slots of the pool know. */
class Here<Video extends SimulatedVideo> implements Surroundings {
  readonly pool: Surroundings['pool']
  readonly freeInMs = 0
  readonly others: readonly OtherPool[]
  readonly #parts: WaitingParts<Video>

  constructor(parts: WaitingParts<Video>, others: readonly OtherPool[]) {
    this.pool = parts.pool.rules
    this.others = others
    this.#parts = parts
  }

  get loaded(): ReadonlySet<string> {
    return this.#parts.pool.loaded()
  }

  get flexQueued(): number {
    return this.#parts.flexQueued()
  }

  costsOf(head: Head): HeadCosts {
    return (head as SimulatedHead).video.costsMs
  }
}

/** Whether one that stands behind another that waits for what is cheaper has the same reasons. */
function waitsAsWell(next: SimulatedVideo, { expiresAtMs, costsMs }: SimulatedVideo): boolean {
  if (next.expiresAtMs < expiresAtMs) return false
  return next.costsMs === costsMs || next.costsMs.every((ms, pool) => ms === costsMs[pool])
}

function hasLimit({ accountRunningMax, keyRunningMax }: Head): boolean {
  return accountRunningMax !== null || keyRunningMax !== null
}

/** Flex is among the others as standard. */
function tierServed({ tier }: Head): ServiceTier {
  return tier === 'flex' ? 'standard' : tier
}
