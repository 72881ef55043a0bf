import type { Logger } from 'pino'
import { Outage } from '../outage.ts'

export interface SlotRestDeps {
  /** Called when a rest begins and when it is over. */
  onChange(): void
  log: Logger
}

/** Long enough for an idle worker to take the video that failed here: it does so within milliseconds. */
const AFTER_ONE_MS = 500
/** After a second video; twice as long after each further failure. */
const FIRST_MS = 1_000
/** One video in a minute finds out whether the slot can make one again. */
const MS_MAX = 60_000

/**
 * How long a slot waits before it takes another video. One video that fails may be at fault itself, however
 * often it does. When a second one fails and none succeeded in between, the slot is unwell until one does:
 * its rests grow, and others make the videos meanwhile.
 */
export class SlotRest {
  readonly #deps: SlotRestDeps
  readonly #unwell: Outage
  #timer: NodeJS.Timeout | undefined
  /** The video that failed last. */
  #video: string | undefined
  /** Rests since the slot became unwell. */
  #rests = 0

  constructor(deps: SlotRestDeps) {
    this.#deps = deps
    this.#unwell = new Outage(deps.log, {
      away: 'one video after the other fails on this slot: it waits before it takes the next, and longer each time',
      back: 'the slot makes videos again',
    })
  }

  /** Whether the slot takes no video now. */
  get isResting(): boolean {
    return this.#timer !== undefined
  }

  /** Whether the rest is one in which others should get what the slot has waiting. */
  get isLong(): boolean {
    return this.isResting && this.#rests > 0
  }

  /** What fails during a rest failed in the same moment as what began it, such as by the end of a runner. */
  failed(video: string, reason: string): void {
    if (this.isResting) return
    const isFirst = this.#video === undefined || this.#video === video
    this.#video = video
    if (this.#rests === 0 && isFirst) {
      this.#rest(AFTER_ONE_MS)
    } else {
      const ms = Math.min(FIRST_MS * 2 ** this.#rests, MS_MAX)
      this.#rests += 1
      this.#unwell.begin(reason)
      this.#rest(ms)
    }
  }

  /** A video was made: the slot is well, and rests no more. */
  succeeded(): void {
    this.#video = undefined
    this.#rests = 0
    this.#unwell.end()
    this.#endRest()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #rest(ms: number): void {
    this.#timer = setTimeout(() => this.#endRest(), ms)
    this.#deps.onChange()
  }

  #endRest(): void {
    if (!this.isResting) return
    this.stop()
    this.#deps.onChange()
  }
}
