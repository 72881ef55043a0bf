import { accountCap, FairQueue, type Head, type VirtualTime } from '../choose.ts'
import { loadedToTake } from '../loaded-slots.ts'
import type { PoolShares } from '../preempt.ts'
import type { Owner } from '../running-counts.ts'
import type { LineKind } from './line.ts'
import type { Slot } from './occupation.ts'

/** What the simulation must know of a pool. */
export interface PoolRules {
  queue: string
  /** As the workers say it; null = they do not, and nobody is preferred for it there. */
  loaded: readonly (string | null)[] | null
  slots: number
  switchMs: number
  switchWaitMsMax: number
}

const NOTHING_LOADED: ReadonlySet<string> = new Set()

/** A pool with its slots, its queue, and what the gate's rules ask of both. */
export class SimulatedPool {
  readonly number: number
  readonly rules: PoolRules
  readonly queue: FairQueue
  readonly shares: PoolShares
  readonly slots: readonly Slot[]
  /** Those that nobody occupies. */
  readonly idle: Slot[] = []
  /** Somebody may go on a slot that is idle, or may have to make room. */
  isWoken = true
  /** When it is looked at next because somebody may make room by then; infinite = it is not. */
  recheckAtMs = Number.POSITIVE_INFINITY
  /** Flex videos that run there. */
  flexRunning = 0
  /** Lines that wait for it and are served before flex. */
  linesAboveFlex = 0
  /** The models that lines wait for, with how many. */
  readonly #wanted = new Map<string, number>()
  /** Accounts whose share counts, with how often: for each line that waits and each slot they occupy. */
  readonly #active = new Map<string, number>()
  readonly #activeIds = new Set<string>()
  /** What its idle slots have loaded, with how many. */
  readonly #free = new Map<string | null, number>()
  readonly #loaded = new Set<string>()
  readonly #accountSharePercent: number

  constructor(
    number: number,
    parts: {
      rules: PoolRules
      time: VirtualTime
      accountSharePercent: number
      /** What stands in a head's place by now; null = nothing. */
      current: (head: Head) => Head | null
    },
  ) {
    this.number = number
    this.rules = parts.rules
    this.queue = new FairQueue(parts.time, [], parts.current)
    this.#accountSharePercent = parts.accountSharePercent
    this.shares = { occupied: new Map(), accountCap: this.#capNow() }
    this.slots = Array.from({ length: parts.rules.slots }, (_, index) => ({
      pool: number,
      queue: parts.rules.queue,
      model: parts.rules.loaded?.[index] ?? null,
      occupation: null,
    }))
  }

  /** The models that a choice may prefer: none as long as a free slot may have anything. */
  loaded(): ReadonlySet<string> {
    return this.rules.loaded === null || this.#free.has(null) ? NOTHING_LOADED : this.#loaded
  }

  addIdle(slot: Slot): void {
    this.idle.push(slot)
    this.#countFree(slot.model, 1)
  }

  /** Takes this slot, which is or will be loaded with the model of what is on it. */
  removeIdle(slot: Slot, model: string): void {
    const at = this.idle.indexOf(slot)
    if (at < 0) throw new RangeError('the slot is not idle')
    this.idle.splice(at, 1)
    this.#countFree(slot.model, -1)
    if (this.rules.loaded !== null) slot.model = model
  }

  /**
   * Takes the slot for a video of this model: of those that are idle, which are alike but for what they have
   * loaded, by the rule of the gate. Returns it and whether it has to switch.
   */
  takeIdle(model: string): { slot: Slot; isSwitch: boolean } | null {
    const slot = this.idle.pop()
    if (slot === undefined) return null
    if (this.rules.loaded === null) {
      this.#countFree(null, -1)
      return { slot, isSwitch: false }
    }
    const loaded = loadedToTake(this.#free.keys(), model, this.#wanted) ?? null
    this.#countFree(loaded, -1)
    if (slot.model !== loaded) {
      const other = this.idle.find((free) => free.model === loaded)
      if (other !== undefined) other.model = slot.model
    }
    slot.model = model
    return { slot, isSwitch: loaded !== null && loaded !== model }
  }

  occupy({ accountId }: Owner, change: 1 | -1): void {
    const { occupied } = this.shares
    occupied.set(accountId, (occupied.get(accountId) ?? 0) + change)
    this.#countActive(accountId, change)
  }

  /** A line that it can make has its first video, or has none any more. */
  countLine({ accountId, model, isBarred }: LineKind, change: 1 | -1): void {
    // No slot is kept for one whose limit lets none of it run, as the gate has it.
    if (!isBarred) this.#countActive(accountId, change)
    const count = (this.#wanted.get(model) ?? 0) + change
    if (count === 0) this.#wanted.delete(model)
    else this.#wanted.set(model, count)
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

  #countActive(accountId: string, change: 1 | -1): void {
    const before = this.#active.get(accountId) ?? 0
    const count = before + change
    if (count === 0) this.#active.delete(accountId)
    else this.#active.set(accountId, count)
    if (before > 0 && count > 0) return
    if (count > 0) this.#activeIds.add(accountId)
    else this.#activeIds.delete(accountId)
    const cap = this.#capNow()
    const isRaised = cap > this.shares.accountCap
    this.shares.accountCap = cap
    if (isRaised) for (const id of this.#activeIds) this.resume({ accountId: id, keyId: '' })
  }

  #capNow(): number {
    return accountCap(this.rules, this.#activeIds, this.#accountSharePercent)
  }
}
