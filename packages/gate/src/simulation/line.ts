import type { Head } from '../choose.ts'
import type { Presence } from './presence.ts'

/** A head as the simulation makes it. */
export interface SimulatedHead extends Head {
  readonly video: SimulatedVideo
}

/** A video as the simulation moves it. It says itself what it is as a head, and how long it takes. */
export interface SimulatedVideo {
  /** Ids rise with age. */
  readonly id: string
  /** By the simulation's clock; infinite = never. */
  readonly expiresAtMs: number
  /** It was on a slot before. */
  readonly cameBack: boolean
  /** As the head of its line on a pool that can make it. */
  headOn(pool: number, nowMs: number): SimulatedHead
  /** Predicted milliseconds of what is left, by the pool's number; infinite where that cannot make it. */
  readonly costsMs: readonly number[]
  /** Those that it really takes there, without a switch of models. */
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
  keyId: string
  presence: Presence
  model: string
  /** Flex videos are served as standard once their deadline is near. */
  isFlex: boolean
  tier: Head['tier']
  /** Its limits let none of it run, ever. */
  isBarred: boolean
  /** The pools that can make it, by number. */
  pools: readonly number[]
}

/** The first places of the list, which are empty, are dropped when they are this many, and half of it. */
const SERVED_MAX = 16

/**
 * The queued videos of one key, shape and tier, oldest first. All of them ask for the same, so a pool can
 * make all of them or none.
 */
export class Line<Video extends SimulatedVideo> {
  readonly kind: LineKind
  /** What the queue of each pool has of it, by the pool's number; it may have been served since. */
  readonly heads: (Head | null)[]
  /** Of how many the queue of each pool knows, before that one, that they wait for another pool. */
  readonly putOff: number[]
  /** When it is looked at because of a deadline; infinite = it is not. */
  lookAtMs = Number.POSITIVE_INFINITY
  /** Its head is served in another tier than its own. */
  isPromoted = false
  /** A place is empty once its video was served. */
  readonly #videos: (Video | undefined)[] = []
  #served = 0
  /** Those that came back, the oldest last: few, and most of them older than all that never left. */
  readonly #returned: Video[] = []

  constructor(kind: LineKind) {
    this.kind = kind
    const pools = Array.from({ length: Math.max(-1, ...kind.pools) + 1 })
    this.heads = pools.map(() => null)
    this.putOff = pools.map(() => 0)
  }

  get size(): number {
    return this.#videos.length - this.#served + this.#returned.length
  }

  get first(): Video | null {
    if (this.#returned.length === 0) return this.#videos[this.#served] ?? null
    return this.at(0)
  }

  /** The video at a place of the line, 0 = the first. */
  at(place: number): Video | null {
    if (this.#returned.length === 0) return this.#videos[this.#served + place] ?? null
    let [video, skipped]: [Video | null, number] = [null, 0]
    let returned = this.#returned.length - 1
    let fresh = this.#served
    for (; skipped <= place; skipped += 1) {
      const [one, other] = [this.#returned[returned], this.#videos[fresh]]
      if (one === undefined && other === undefined) return null
      if (one !== undefined && (other === undefined || one.id < other.id)) {
        video = one
        returned -= 1
      } else {
        video = other ?? null
        fresh += 1
      }
    }
    return video
  }

  /** Adds a video that is younger than all others. */
  append(video: Video): void {
    this.#videos.push(video)
  }

  putBack(video: Video): void {
    const younger = this.#returned.findLastIndex((other) => other.id > video.id)
    this.#returned.splice(younger + 1, 0, video)
  }

  /** Takes out a video that stands near the beginning. */
  remove(video: Video): void {
    const returned = this.#returned.indexOf(video)
    if (returned >= 0) {
      this.#returned.splice(returned, 1)
      return
    }
    for (let at = this.#videos.indexOf(video, this.#served); at > this.#served; at -= 1)
      this.#videos[at] = this.#videos[at - 1]
    this.#videos[this.#served] = undefined
    this.#served += 1
    if (this.#served < SERVED_MAX || this.#served * 2 < this.#videos.length) return
    this.#videos.splice(0, this.#served)
    this.#served = 0
  }

  *[Symbol.iterator](): Generator<Video> {
    yield* this.#returned.toReversed()
    for (let at = this.#served; at < this.#videos.length; at += 1) yield this.#videos[at] as Video
  }
}
