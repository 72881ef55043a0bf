import type { RunningCounts } from '../running-counts.ts'
import type { Line, SimulatedVideo } from './line.ts'
import { type Pass, Rival } from './rival.ts'
import type { SimulatedPool } from './simulated-pool.ts'
import { Waiting } from './waiting.ts'

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
  readonly #pass: Pass = { filled: 0 }
  #flexQueued = 0
  #isAnyAwaited = false

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
        else if (rival !== undefined) this.#addRival(number, rival)
      }
    }
  }

  #addRival(number: number, pool: SimulatedPool): void {
    const ownLines = this.#own[number]?.[pool.number] ?? []
    this.#waiting[number]?.addRival(pool, () => new Rival(pool, this.#pass, ownLines))
    this.#isAnyAwaited = this.#waiting.some(({ hasRivals }) => hasRivals)
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

  /** Somebody waits who is to be asked again whenever anything happens. */
  get isAnyDue(): boolean {
    for (const { isDue } of this.#waiting) if (isDue) return true
    return false
  }

  beginPass(): void {
    this.#pass.filled = 0
  }

  /** That pool was given all it may have; pools are filled in order. */
  noteFilled(pool: SimulatedPool): void {
    this.#pass.filled = Math.max(this.#pass.filled, pool.number + 1)
    if (pool.hasIdle) for (const waiting of this.#waiting) waiting.noteFilled(pool)
  }

  /** There is a pool that somebody may wait for. */
  get isAnyAwaited(): boolean {
    return this.#isAnyAwaited
  }

  /** A slot of a pool was given to a video, which stood at this place of its line. */
  noteGiven(
    to: { line: Line<Video>; video: Video; place: number; endsAtMs: number },
    from: { pool: SimulatedPool; idleBefore: number },
  ): void {
    for (const waiting of this.#waiting) if (waiting.pool !== from.pool) waiting.noteGiven(to, from)
  }
}
