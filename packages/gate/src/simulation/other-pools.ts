import type { OtherPool } from '../route.ts'
import type { RunningCounts } from '../running-counts.ts'
import type { Line, SimulatedHead, SimulatedVideo } from './line.ts'
import type { SimulatedPool } from './simulated-pool.ts'
import { Waiting } from './waiting.ts'

/** Videos that only another pool can make are counted up to here: with more of them it is not waited for. */
const OWN_COUNTED_MAX = 1_000

interface Surroundings<Video extends SimulatedVideo> {
  readonly nowMs: number
  readonly pools: readonly SimulatedPool[]
  readonly lines: ReadonlyMap<string, Line<Video>>
}

/** What the choices for the slots of each pool know of the other pools. */
export class OtherPools<Video extends SimulatedVideo> {
  readonly #simulation: Surroundings<Video>
  readonly #waiting: readonly Waiting<Video>[]
  /** By the pool's number, and by the other's: lines that the other can make, and the pool cannot. */
  readonly #own: Line<Video>[][][]
  /** So many pools were given all they may have in this pass: what is still free there takes nobody. */
  #filled = 0
  #flexQueued = 0

  constructor(simulation: Surroundings<Video>, running: RunningCounts) {
    this.#simulation = simulation
    this.#own = simulation.pools.map(() => simulation.pools.map(() => []))
    this.#waiting = simulation.pools.map(
      (pool) =>
        new Waiting<Video>({
          clock: simulation,
          pool,
          lines: simulation.lines,
          running,
          flexQueued: () => this.#flexQueued,
          otherPool: (other, sinceMs, onCounted) => this.#otherPool({ pool, other, sinceMs, onCounted }),
        }),
    )
  }

  /** Those that wait for another pool than this; null where there is nothing to wait for. */
  waitingAt(pool: SimulatedPool): Waiting<Video> | null {
    const waiting = this.#waiting[pool.number]
    return waiting?.hasRivals === true ? waiting : null
  }

  /** There is one line more. */
  add(line: Line<Video>): void {
    const { pools } = this.#simulation
    for (const other of line.kind.pools) {
      for (const [number] of pools.entries()) {
        if (number === other) continue
        const rival = pools[other]
        if (!line.kind.pools.includes(number)) this.#own[number]?.[other]?.push(line)
        else if (rival !== undefined) this.#waiting[number]?.addRival(rival)
      }
    }
  }

  /** A video more or less is queued. */
  count({ kind }: Line<Video>, change: 1 | -1): void {
    const { pools } = this.#simulation
    if (kind.isFlex) this.#flexQueued += change
    if (change < 0) return
    if (kind.isFlex) for (const waiting of this.#waiting) waiting.noteFlexQueued()
    if (kind.pools.length === pools.length) return
    for (const number of kind.pools) {
      const pool = pools[number]
      if (pool === undefined) continue
      for (const [other, waiting] of this.#waiting.entries())
        if (!kind.pools.includes(other)) waiting.noteOwnOf(pool)
    }
  }

  beginPass(): void {
    this.#filled = 0
  }

  /** That pool was given all it may have; pools are filled in order. */
  noteFilled(pool: SimulatedPool): void {
    this.#filled = Math.max(this.#filled, pool.number + 1)
    if (pool.hasIdle) for (const waiting of this.#waiting) waiting.noteFilled(pool)
  }

  /** A slot of a pool was given to a video, which stood at this place of its line. */
  noteGiven(
    to: { line: Line<Video>; video: Video; place: number; endsAtMs: number },
    from: { pool: SimulatedPool; idleBefore: number },
  ): void {
    for (const [number, waiting] of this.#waiting.entries())
      if (number !== from.pool.number) waiting.noteGiven(to, from)
  }

  #otherPool({
    pool,
    other,
    sinceMs,
    onCounted,
  }: {
    pool: SimulatedPool
    other: SimulatedPool
    sinceMs: () => number
    onCounted: (uncountedIdle: number) => void
  }): OtherPool {
    const { lines } = this.#simulation
    const { slots, switchMs, costPerHourMicros, loadedFirst } = other.rules
    const ownLines = this.#own[pool.number]?.[other.number] ?? []
    const isFilled = () => other.number < this.#filled
    const freeInMs: number[] = []
    return {
      pool: {
        slots,
        switchMs,
        costPerHourMicros,
        get loaded() {
          if (loadedFirst === null) return []
          return other.slots.map(({ model }, slot) => ({ worker: other.rules.pool, slot, model }))
        },
      },
      get slotsFreeInMs() {
        const [fromMs, isGiven] = [sinceMs(), isFilled()]
        onCounted(isGiven ? other.idleCount : 0)
        freeInMs.length = 0
        for (const { isIdle, freeAtMs } of other.slots)
          if (!isIdle || !isGiven) freeInMs.push(Math.max(0, freeAtMs - fromMs))
        return freeInMs
      },
      get firstFreeInMs() {
        const isGiven = isFilled()
        let firstMs = Number.POSITIVE_INFINITY
        for (const { isIdle, freeAtMs } of other.slots)
          if (freeAtMs < firstMs && !(isIdle && isGiven)) firstMs = freeAtMs
        return Math.max(0, firstMs - sinceMs())
      },
      costMsOf: (head) => {
        const line = lines.get(head.queueKey)
        const canMake = line?.kind.pools.includes(other.number) === true
        return canMake ? (head as SimulatedHead).video.costMsOn(other.number) : null
      },
      ownOf: (tier) => {
        const own: number[] = []
        for (const line of ownLines) {
          if (line.size === 0 || (line.isPromoted ? 'standard' : line.kind.tier) !== tier) continue
          if (line.size > OWN_COUNTED_MAX) return null
          for (const video of line) own.push(video.costMsOn(other.number))
          if (own.length > OWN_COUNTED_MAX) return null
        }
        return own
      },
    }
  }
}
