import { accountCap, FairQueue, type Head, type Switching } from '../choose.ts'
import type { Pool } from '../fleet.ts'
import { loadedToTake } from '../loaded-slots.ts'
import { limitOn, type PoolShares } from '../preempt.ts'
import type { RunningCounts } from '../running-counts.ts'
import type { VirtualTime } from '../virtual-time.ts'
import { EventQueue } from './event-queue.ts'
import type { LineKind } from './line.ts'
import type { Slot } from './occupation.ts'
import type { Presence } from './presence.ts'
import { RisingTimes } from './rising-times.ts'

/** What the simulation must know of a pool. */
export interface PoolRules
  extends Pick<Pool, 'pool' | 'queue' | 'slots' | 'switchMs' | 'switchWaitMsMax' | 'costPerHourMicros'> {
  /** What its slots have loaded as it begins; null = the workers do not say it, and nobody is preferred. */
  loadedFirst: readonly (string | null)[] | null
}

const NOTHING_LOADED: ReadonlySet<string> = new Set()

/** A pool with its slots, its queue, and what the gate's rules ask of both. */
export class SimulatedPool {
  readonly number: number
  readonly rules: PoolRules
  readonly queue: FairQueue
  readonly shares: PoolShares
  /** The account or key whose limit keeps a head waiting; null when it may go. */
  readonly limitOf: (head: Head) => string | null
  readonly slots: readonly Slot[]
  /** Somebody may go on a slot that may be given away, or may have to make room. */
  isWoken = true
  /** It was looked at in this pass, and has no slot to give away: somebody may have to make room. */
  isFull = false
  /** When it is looked at next although nothing has happened; infinite = it is not. */
  recheckAtMs = Number.POSITIVE_INFINITY
  /** What occupies its slots and is flex, has been asked to make room, or is nearly over. */
  flexOccupying = 0
  yielding = 0
  nearlyOver = 0
  /** Slots whose device is at work. */
  busy = 0
  /** Lines that wait for it and are served before flex. */
  linesAboveFlex = 0
  /** Slots that may be given away, those that are free first before the others. */
  readonly #idle = new EventQueue<Slot>()
  /** When the others are free. */
  readonly #takenUntil: RisingTimes
  #idleCount = 0
  /** The models that lines wait for, with how many. */
  readonly #wanted = new Map<string, number>()
  /** Accounts whose share counts. */
  readonly #active = new Set<string>()
  /** What the slots that may be given away have loaded, with how many. */
  readonly #free = new Map<string | null, number>()
  readonly #loaded = new Set<string>()
  readonly #accountSharePercent: number
  readonly #switching: { loaded: ReadonlySet<string>; nowMs: number; waitMsMax: number }

  constructor(
    number: number,
    parts: {
      rules: PoolRules
      time: VirtualTime
      running: RunningCounts
      accountSharePercent: number
      /** What stands in a head's place by now; null = nothing. */
      current: (head: Head) => Head | null
    },
  ) {
    const { rules } = parts
    this.number = number
    this.rules = rules
    this.queue = new FairQueue(parts.time, [], parts.current)
    this.#accountSharePercent = parts.accountSharePercent
    this.shares = { occupied: new Map(), accountCap: this.#capNow() }
    this.limitOf = (head) => limitOn(head, this.shares, parts.running)
    this.#switching = { loaded: NOTHING_LOADED, nowMs: 0, waitMsMax: rules.switchWaitMsMax }
    this.slots = Array.from({ length: rules.slots }, (_, index) => ({
      pool: number,
      queue: rules.queue,
      number: index,
      model: rules.loadedFirst?.[index] ?? null,
      freeAtMs: 0,
      isIdle: false,
      isTaken: false,
    }))
    this.#takenUntil = new RisingTimes(rules.slots)
    for (const slot of this.slots) this.addIdle(slot)
  }

  get hasIdle(): boolean {
    return this.#idleCount > 0
  }

  /** A flex video there may be asked to make room, if it lets one of a higher tier go. */
  get mayAskForRoom(): boolean {
    return this.#idleCount === 0 && this.flexOccupying > 0 && this.yielding === 0 && this.nearlyOver === 0
  }

  /** And somebody of a higher tier waits. */
  get wantsRoom(): boolean {
    return this.mayAskForRoom && this.linesAboveFlex > 0
  }

  /** Slots that may be given away. */
  get idleCount(): number {
    return this.#idleCount
  }

  /** When the first of those that may be given away is free; of none, as if one were. */
  get firstFreeAtMs(): number {
    return this.#idleCount === 0 ? 0 : this.#firstIdle().freeAtMs
  }

  /** The models that a choice may prefer: none as long as a slot may have anything. */
  loaded(): ReadonlySet<string> {
    return this.rules.loadedFirst === null || this.#free.has(null) ? NOTHING_LOADED : this.#loaded
  }

  /** What a choice for its slots knows of switches; the same object each time. */
  switchingAt(nowMs: number): Switching {
    this.#switching.loaded = this.loaded()
    this.#switching.nowMs = nowMs
    return this.#switching
  }

  /** When those slots are free that may not be given away. */
  get takenUntil(): Pick<RisingTimes, 'firstMs' | 'times' | 'size'> {
    return this.#takenUntil
  }

  /** It is given away until then, or until another time than before. */
  take(slot: Slot, untilMs: number): void {
    if (slot.isTaken) this.#takenUntil.remove(slot.freeAtMs)
    slot.freeAtMs = untilMs
    slot.isTaken = true
    this.#takenUntil.add(untilMs)
  }

  /** It may be given away. */
  addIdle(slot: Slot): void {
    if (slot.isTaken) this.#takenUntil.remove(slot.freeAtMs)
    slot.isTaken = false
    slot.isIdle = true
    this.#idle.push(slot.freeAtMs, slot)
    this.#idleCount += 1
    if (this.rules.loadedFirst !== null) this.#countFree(slot.model, 1)
  }

  /**
   * Takes the slot for a video of this model, by the rule of the gate: of those that have the same loaded the
   * one that is free first. Null without one. It has what it had loaded.
   */
  takeIdle(model: string): Slot | null {
    if (this.#idleCount === 0) return null
    const first = this.#popIdle()
    if (this.rules.loadedFirst === null) return first
    const loaded = loadedToTake(this.#free.keys(), model, this.#wanted) ?? null
    const slot = first.model === loaded ? first : (this.#firstWith(loaded) ?? first)
    if (slot !== first) {
      // The queue forgets the other one when its turn comes.
      slot.isIdle = false
      first.isIdle = true
      this.#idle.push(first.freeAtMs, first)
    }
    this.#countFree(slot.model, -1)
    return slot
  }

  #popIdle(): Slot {
    const slot = this.#firstIdle()
    this.#idle.pop()
    slot.isIdle = false
    this.#idleCount -= 1
    return slot
  }

  #firstIdle(): Slot {
    for (;;) {
      const { nextAtMs, first } = this.#idle
      if (first === undefined) throw new RangeError('no slot is idle')
      if (first.isIdle && first.freeAtMs === nextAtMs) return first
      // One that was taken out of turn stands there still.
      this.#idle.pop()
    }
  }

  #firstWith(loaded: string | null): Slot | undefined {
    let first: Slot | undefined
    for (const slot of this.slots)
      if (slot.isIdle && slot.model === loaded && (first === undefined || slot.freeAtMs < first.freeAtMs))
        first = slot
    return first
  }

  occupy({ accountId }: Presence, change: 1 | -1): void {
    const { occupied } = this.shares
    occupied.set(accountId, (occupied.get(accountId) ?? 0) + change)
  }

  /** A line that it can make has its first video, or has none any more. */
  countLine({ presence, model, isBarred }: LineKind, change: 1 | -1): void {
    // No slot is kept for one whose limit lets none of it run, as the gate has it.
    if (!isBarred) this.countActive(presence, change)
    if (this.rules.loadedFirst === null) return
    const count = (this.#wanted.get(model) ?? 0) + change
    if (count === 0) this.#wanted.delete(model)
    else this.#wanted.set(model, count)
  }

  /** An account has one thing more or less that waits for it or is in flight there. */
  countActive(presence: Presence, change: 1 | -1): void {
    if (!presence.count(this.number, change)) return
    if (change > 0) this.#active.add(presence.accountId)
    else this.#active.delete(presence.accountId)
    const cap = this.#capNow()
    const isRaised = cap > this.shares.accountCap
    this.shares.accountCap = cap
    if (isRaised) for (const accountId of this.#active) this.resume({ accountId, keyId: '' })
  }

  /** Has everybody go on whose account or key may run one more. */
  resume(owner: Pick<Head, 'accountId' | 'keyId'>): void {
    if (this.queue.resume(owner)) this.isWoken = true
  }

  #countFree(model: string | null, change: 1 | -1): void {
    const count = (this.#free.get(model) ?? 0) + change
    if (count > 0) this.#free.set(model, count)
    else this.#free.delete(model)
    if (model === null) return
    if (count > 0) this.#loaded.add(model)
    else this.#loaded.delete(model)
  }

  #capNow(): number {
    return accountCap(this.rules, this.#active, this.#accountSharePercent)
  }
}
