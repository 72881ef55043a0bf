import type { Head, Others } from '../choose.ts'
import { Elsewhere, type OtherPool } from '../route.ts'
import type { RunningCounts } from '../running-counts.ts'
import type { Line, SimulatedHead, SimulatedVideo } from './line.ts'
import type { SimulatedPool } from './simulated-pool.ts'

/** Videos that only another pool can make are counted up to here: with more of them it is not waited for. */
const OWN_COUNTED_MAX = 1_000

/** A flex video that waits for a cheaper pool is looked at whenever a hundredth of its time has gone by. */
const FLEX_LOOK_SHARE = 0.01
const LOOK_MS_MIN = 1_000

interface Surroundings<Video extends SimulatedVideo> {
  readonly nowMs: number
  readonly pools: readonly SimulatedPool[]
  readonly lines: ReadonlyMap<string, Line<Video>>
}

/**
 * What a choice for the slots of one pool knows of the others, by the rule of the gate: which of the videos
 * whose turn it is wait for another pool. They are shown to the queue again before its next choice.
 */
export class OtherPools<Video extends SimulatedVideo> {
  readonly #simulation: Surroundings<Video>
  readonly #running: RunningCounts
  /** By the pool's number, the others that make some of the same. */
  readonly #rivals: SimulatedPool[][]
  /** By the pool's number, and by the other's: lines that the other can make, and the pool cannot. */
  readonly #own: Line<Video>[][][]
  /** So many pools were given all they may have in this pass: what is still free there takes nobody. */
  #filled = 0
  readonly #putOff = new Set<Line<Video>>()
  /** Those that were counted as running. */
  readonly #countedHeads: Head[] = []
  #flexQueued = 0
  /** When a pool is looked at again because of who waits for another, should nothing happen before. */
  lookInMs = Number.POSITIVE_INFINITY

  constructor(simulation: Surroundings<Video>, running: RunningCounts) {
    this.#simulation = simulation
    this.#running = running
    this.#rivals = simulation.pools.map(() => [])
    this.#own = simulation.pools.map(() => simulation.pools.map(() => []))
  }

  /** There is one line more. */
  add(line: Line<Video>): void {
    const { pools } = this.#simulation
    for (const other of line.kind.pools) {
      for (const [number, pool] of pools.entries()) {
        if (number === other) continue
        if (!line.kind.pools.includes(number)) this.#own[number]?.[other]?.push(line)
        else this.#addRivals(pool, pools[other])
      }
    }
  }

  /** A video more or less is queued. */
  count({ kind }: Line<Video>, change: 1 | -1): void {
    if (kind.isFlex) this.#flexQueued += change
  }

  beginPass(): void {
    this.#filled = 0
  }

  noteFilled(): void {
    this.#filled += 1
  }

  /** For choices that are carried out; null where there is nothing to wait for. */
  seenFrom(pool: SimulatedPool): Others | null {
    const rivals = this.#rivalsOf(pool)
    if (rivals.length === 0) return null
    const elsewhere = this.#elsewhere(pool, rivals)
    return {
      waits: (head, tier) => elsewhere().waits(head, tier),
      behind: (head) => {
        pool.hasPutOff = true
        this.lookInMs = Math.min(this.lookInMs, this.#waitsMs(head))
        // It will run as well, and may be the last of its account or key that may.
        this.#running.add(head, 1)
        this.#countedHeads.push(head)
        return this.#behind(pool, head)
      },
    }
  }

  /** For a choice that only shows whether somebody should make room. */
  asked(pool: SimulatedPool): Others {
    const elsewhere = this.#elsewhere(pool, this.#rivalsOf(pool))
    return {
      waits: (head, tier) => elsewhere().waits(head, tier),
      behind: (head) => {
        this.lookInMs = Math.min(this.lookInMs, this.#waitsMs(head))
        this.#behind(pool, head)
        return null
      },
    }
  }

  /** Forgets who waits for another pool than this, and returns the lines whose first is to be shown again. */
  restore(pool: SimulatedPool): Line<Video>[] {
    for (const head of this.#countedHeads) {
      this.#running.add(head, -1)
      // Others of its account and key were kept waiting by it.
      pool.queue.resume(head)
    }
    this.#countedHeads.length = 0
    this.lookInMs = Number.POSITIVE_INFINITY
    const lines = [...this.#putOff]
    this.#putOff.clear()
    for (const line of lines) {
      line.putOff[pool.number] = 0
      line.heads[pool.number] = null
    }
    return lines
  }

  /** How long it does, at most; of flex, until some of the time to its deadline has gone by. */
  #waitsMs({ putOffAtMs, costMs, expiresInMs }: Head): number {
    const leftMs =
      putOffAtMs === undefined ? expiresInMs * FLEX_LOOK_SHARE : putOffAtMs + costMs - this.#simulation.nowMs
    return Math.max(LOOK_MS_MIN, leftMs)
  }

  /** Takes note of a head that waits for another pool, and returns who stands behind it. */
  #behind(pool: SimulatedPool, head: Head): Head | null {
    const line = this.#simulation.lines.get(head.queueKey)
    if (line === undefined) return null
    const isFlex = line.kind.isFlex && !line.isPromoted
    const place = isFlex ? line.size : (line.putOff[pool.number] ?? 0) + 1
    line.putOff[pool.number] = place
    this.#putOff.add(line)
    const behind = line.at(place)?.headOn(pool.number, this.#simulation.nowMs) ?? null
    line.heads[pool.number] = behind
    return behind
  }

  #rivalsOf(pool: SimulatedPool): readonly SimulatedPool[] {
    return this.#rivals[pool.number] ?? []
  }

  #addRivals(pool: SimulatedPool, other: SimulatedPool | undefined): void {
    const rivals = this.#rivals[pool.number]
    // Workers of one pool are alike, whatever queue they read.
    if (other === undefined || other.rules.pool === pool.rules.pool || rivals?.includes(other)) return
    rivals?.push(other)
  }

  /** Made when it is asked for: most choices are made without. */
  #elsewhere(pool: SimulatedPool, rivals: readonly SimulatedPool[]): () => Elsewhere {
    let made: Elsewhere | undefined
    return () => {
      made ??= new Elsewhere({
        pool: pool.rules,
        freeInMs: Math.max(0, pool.firstFreeAtMs - this.#simulation.nowMs),
        loaded: pool.loaded(),
        flexQueued: this.#flexQueued,
        others: rivals.map((other) => this.#otherPool(pool, other)),
      })
      return made
    }
  }

  #otherPool(pool: SimulatedPool, other: SimulatedPool): OtherPool {
    const { nowMs, lines } = this.#simulation
    const { slots, switchMs, costPerHourMicros, loadedFirst } = other.rules
    const hasRoom = other.number >= this.#filled
    const ownLines = this.#own[pool.number]?.[other.number] ?? []
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
        return other.slots.flatMap(({ isIdle, freeAtMs }) => {
          return isIdle && !hasRoom ? [] : [Math.max(0, freeAtMs - nowMs)]
        })
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
