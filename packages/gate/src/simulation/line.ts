import type { Head } from '../choose.ts'

/** A video as the simulation moves it. It says itself what it is as a head, and how long it takes. */
export interface SimulatedVideo {
  /** Ids rise with age. */
  readonly id: string
  /** By the simulation's clock; infinite = never. */
  readonly expiresAtMs: number
  /** It was on a slot before. */
  readonly cameBack: boolean
  /** As the head of its line on a pool that can make it. */
  headOn(pool: number, nowMs: number): Head
  /** Milliseconds that what is left of it really takes there, without a switch of models. */
  deviceMsOn(pool: number): number
  /**
   * It has run for `ranMs` there and is asked to make room: returns after how many more milliseconds it does,
   * and has less left from then on; null when it is finished before that.
   */
  yieldOn(pool: number, ranMs: number): number | null
}

/** What all videos of a line have in common. */
export interface LineKind {
  queueKey: string
  accountId: string
  keyId: string
  model: string
  /** Flex videos are served as standard once their deadline is near. */
  isFlex: boolean
  /** Its limits let none of it run, ever. */
  isBarred: boolean
  /** The pools that can make it, by number. */
  pools: readonly number[]
}

/** Served videos at the beginning of the list are dropped when there are this many, and half of it. */
const SERVED_MAX = 1_024

/**
 * The queued videos of one key, shape and tier, oldest first. All of them ask for the same, so a pool can
 * make all of them or none.
 */
export class Line<Video extends SimulatedVideo> {
  readonly kind: LineKind
  /** What the queue of each pool knows as its head, by the pool's number; it may have been served since. */
  readonly heads: (Head | null)[] = []
  /** When it is looked at because of a deadline; infinite = it is not. */
  lookAtMs = Number.POSITIVE_INFINITY
  /** Its head is served in another tier than its own. */
  isPromoted = false
  readonly #videos: Video[] = []
  #served = 0
  /** Those that came back, the oldest last: few, and older than all that never left. */
  readonly #returned: Video[] = []

  constructor(kind: LineKind) {
    this.kind = kind
  }

  get size(): number {
    return this.#videos.length - this.#served + this.#returned.length
  }

  get first(): Video | null {
    const returned = this.#returned.at(-1)
    const video = this.#videos[this.#served]
    if (returned === undefined) return video ?? null
    return video === undefined || returned.id < video.id ? returned : video
  }

  /** Adds a video that is younger than all others. */
  append(video: Video): void {
    this.#videos.push(video)
  }

  putBack(video: Video): void {
    const younger = this.#returned.findLastIndex((other) => other.id > video.id)
    this.#returned.splice(younger + 1, 0, video)
  }

  removeFirst(): void {
    const first = this.first
    if (first !== null && first === this.#returned.at(-1)) this.#returned.pop()
    else this.#served += 1
    if (this.#served < SERVED_MAX || this.#served * 2 < this.#videos.length) return
    this.#videos.splice(0, this.#served)
    this.#served = 0
  }

  *[Symbol.iterator](): Generator<Video> {
    yield* this.#returned.toReversed()
    for (let at = this.#served; at < this.#videos.length; at += 1) yield this.#videos[at] as Video
  }
}
