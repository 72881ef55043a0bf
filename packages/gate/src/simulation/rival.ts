import type { ServiceTier } from '@sluice/shared/service-tier'
import type { FreeTimes } from '../free-times.ts'
import type { OtherPool } from '../route.ts'
import type { Line, SimulatedVideo } from './line.ts'
import type { SimulatedPool } from './simulated-pool.ts'

/** Videos that only another pool can make are counted up to here: with more of them it is not waited for. */
const OWN_COUNTED_MAX = 1_000
const NONE: readonly never[] = []

/** How far a pass has come. */
export interface Pass {
  /** So many pools were given all they may have: what is still free there takes nobody. */
  filled: number
}

/** Another pool, as those of one pool see it that may wait for it. */
export class Rival<Video extends SimulatedVideo> implements OtherPool {
  readonly number: number
  readonly pool: OtherPool['pool']
  /** Its times are from then on. */
  sinceMs = 0
  /** The times of its slots are known to those that wait. */
  isCounted = false
  /** Its slots that may be given away, and are not among those times: they take nobody. */
  uncountedIdle = 0
  readonly #simulated: SimulatedPool
  readonly #pass: Pass
  readonly #ownLines: readonly Line<Video>[]

  /** `ownLines`: those that it can make, and the pool at hand cannot. */
  constructor(simulated: SimulatedPool, pass: Pass, ownLines: readonly Line<Video>[]) {
    this.number = simulated.number
    this.pool = new LoadedPool(simulated)
    this.#simulated = simulated
    this.#pass = pass
    this.#ownLines = ownLines
  }

  is(pool: SimulatedPool): boolean {
    return this.#simulated === pool
  }

  /** Nobody knows its times any more. */
  forget(): void {
    this.isCounted = false
    this.uncountedIdle = 0
  }

  get firstFreeInMs(): number {
    const { takenUntil } = this.#simulated
    const isIdleMeant = this.#simulated.hasIdle && !this.#isFilled()
    const firstMs = isIdleMeant
      ? Math.min(takenUntil.firstMs, this.#simulated.firstFreeAtMs)
      : takenUntil.firstMs
    return Math.max(0, firstMs - this.sinceMs)
  }

  readSlots(free: FreeTimes): void {
    const { takenUntil, slots, hasIdle, idleCount } = this.#simulated
    const isFilled = this.#isFilled()
    this.isCounted = true
    this.uncountedIdle = isFilled ? idleCount : 0
    free.setRising(takenUntil.times, takenUntil.size, this.sinceMs)
    if (isFilled || !hasIdle) return
    for (const { isIdle, freeAtMs } of slots) if (isIdle) free.add(Math.max(0, freeAtMs - this.sinceMs))
  }

  ownOf(tier: ServiceTier): readonly number[] | null {
    if (this.#ownLines.length === 0) return NONE
    const own: number[] = []
    for (const line of this.#ownLines) {
      if (line.size === 0 || (line.isPromoted ? 'standard' : line.kind.tier) !== tier) continue
      if (line.size > OWN_COUNTED_MAX) return null
      for (const video of line) own.push(video.costsMs[this.number] ?? 0)
      if (own.length > OWN_COUNTED_MAX) return null
    }
    return own
  }

  #isFilled(): boolean {
    return this.number < this.#pass.filled
  }
}

/** What a pool is, and what it has loaded now. */
class LoadedPool {
  readonly slots: number
  readonly switchMs: number
  readonly costPerHourMicros: bigint | null
  readonly #simulated: SimulatedPool

  constructor(simulated: SimulatedPool) {
    const { slots, switchMs, costPerHourMicros } = simulated.rules
    this.slots = slots
    this.switchMs = switchMs
    this.costPerHourMicros = costPerHourMicros
    this.#simulated = simulated
  }

  get loaded(): OtherPool['pool']['loaded'] {
    const { slots, rules } = this.#simulated
    if (rules.loadedFirst === null) return []
    return slots.map(({ model }, slot) => ({ worker: rules.pool, slot, model }))
  }
}
