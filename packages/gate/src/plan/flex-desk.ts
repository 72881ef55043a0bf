import {
  type FlexSchedule,
  highestMultiplier,
  isWithinMaximum,
  lowestMultiplier,
  msUntilChange,
  multiplierAt,
  shareAboveFlex,
  utilisationAfter,
} from '../flex/flex-price.ts'
import { Heap } from '../heap.ts'
import type { Simulation } from '../simulation/simulation.ts'
import type { PlannedFlex } from './demand.ts'
import type { DemandVideo } from './demand-video.ts'

/** As often as the leader of a gate notes utilisation. */
const NOTE_EVERY_MS = 10_000

/**
 * The flex videos of a demand whose time or price has not come, and what flex costs: those stand in no line
 * of the simulation, as those of a gate stand in none of its lines.
 */
export class FlexDesk {
  readonly #schedule: FlexSchedule
  readonly #startsAtMs: number
  readonly #simulation: Simulation<DemandVideo>
  /** Hears of those that expire while they wait. */
  readonly #onExpired: (video: DemandVideo) => void
  readonly #waiting = new Set<DemandVideo>()
  readonly #byTime = new Heap<DemandVideo>((a, b) => notBeforeOf(a) < notBeforeOf(b))
  readonly #byExpiry = new Heap<DemandVideo>((a, b) => a.expiresAtMs < b.expiresAtMs)
  /** Those in a line that have a maximum and no price yet. */
  readonly #limited = new Set<DemandVideo>()
  #utilisation = 0
  #notedAtMs = 0
  /** As it was when the maxima were looked at last. */
  #multiplierBps: number

  constructor(
    { schedule, startsAtMs = 0 }: PlannedFlex,
    simulation: Simulation<DemandVideo>,
    onExpired: (video: DemandVideo) => void,
  ) {
    this.#schedule = schedule
    this.#startsAtMs = startsAtMs
    this.#simulation = simulation
    this.#onExpired = onExpired
    this.#multiplierBps = this.multiplierBps
  }

  /** What flex costs now, in basis points. */
  get multiplierBps(): number {
    return multiplierAt(this.#schedule, {
      atMs: this.#startsAtMs + this.#simulation.nowMs,
      utilisation: this.#utilisation,
    })
  }

  /** Somebody waits who will go, or expire, though nothing else happens any more. */
  get hasWaiting(): boolean {
    const idle = { atMs: 0, utilisation: 0 }
    const isByHour = this.#schedule.by === 'hour'
    const lowestBps = isByHour ? lowestMultiplier(this.#schedule) : multiplierAt(this.#schedule, idle)
    return [...this.#waiting].some(
      ({ expiresAtMs, demanded: { maxMultiplierBps = null } }) =>
        expiresAtMs < Number.POSITIVE_INFINITY || isWithinMaximum(maxMultiplierBps, lowestBps),
    )
  }

  /** When it has to look next; infinite = never. */
  get nextAtMs(): number {
    let expiring = this.#byExpiry.peek()
    for (; expiring !== undefined && !this.#waiting.has(expiring); expiring = this.#byExpiry.peek())
      this.#byExpiry.pop()
    return Math.min(
      this.#nextLookMs(),
      notBeforeOf(this.#byTime.peek()),
      expiring?.expiresAtMs ?? Number.POSITIVE_INFINITY,
    )
  }

  /** Queues a flex video, or has it wait. */
  submit(video: DemandVideo): void {
    if (this.#mayGo(video)) {
      this.#noteLimited(video)
      this.#simulation.queue(video.of.line, video)
      return
    }
    this.#waiting.add(video)
    if (notBeforeOf(video) > this.#simulation.nowMs) this.#byTime.push(video)
    if (video.expiresAtMs < Number.POSITIVE_INFINITY) this.#byExpiry.push(video)
  }

  /** A flex video is dispatched: the first time, that is its price. */
  price(video: DemandVideo): void {
    this.#limited.delete(video)
    const { maxMultiplierBps = highestMultiplier(this.#schedule) } = video.demanded
    video.multiplierBps ??= Math.min(maxMultiplierBps, this.multiplierBps)
  }

  forget(video: DemandVideo): void {
    this.#limited.delete(video)
  }

  /** Does what is due now. */
  look(): void {
    const { nowMs } = this.#simulation
    if (this.#schedule.by === 'utilisation') this.#noteUtilisation(nowMs)
    const { multiplierBps } = this
    const hasChanged = multiplierBps !== this.#multiplierBps
    this.#multiplierBps = multiplierBps
    while (notBeforeOf(this.#byTime.peek()) <= nowMs) this.#byTime.pop()
    for (const video of this.#waiting) if (video.expiresAtMs <= nowMs) this.#expire(video)
    for (const video of this.#waiting) if (this.#mayGo(video)) this.#wake(video)
    if (!hasChanged) return
    for (const video of this.#limited) if (!this.#mayGo(video)) this.#sendToWait(video)
  }

  #nextLookMs(): number {
    if (this.#schedule.by === 'utilisation') return this.#notedAtMs + NOTE_EVERY_MS
    if (this.#waiting.size + this.#limited.size === 0) return Number.POSITIVE_INFINITY
    const { nowMs } = this.#simulation
    return nowMs + (msUntilChange(this.#schedule, this.#startsAtMs + nowMs) ?? Number.POSITIVE_INFINITY)
  }

  #noteUtilisation(nowMs: number): void {
    if (nowMs - this.#notedAtMs < NOTE_EVERY_MS) return
    const { pools, runs } = this.#simulation
    const share = shareAboveFlex({
      pools: pools.map(({ rules }) => rules),
      inFlight: runs.flatMap(({ all }) => all),
    })
    if (share !== null)
      this.#utilisation = utilisationAfter(this.#utilisation, share, nowMs - this.#notedAtMs)
    this.#notedAtMs = nowMs
  }

  #mayGo(video: DemandVideo): boolean {
    if (notBeforeOf(video) > this.#simulation.nowMs) return false
    return isWithinMaximum(video.demanded.maxMultiplierBps ?? null, this.multiplierBps)
  }

  #wake(video: DemandVideo): void {
    this.#waiting.delete(video)
    this.#noteLimited(video)
    this.#simulation.queueByAge(video.of.line, video)
  }

  #sendToWait(video: DemandVideo): void {
    this.#limited.delete(video)
    this.#simulation.withdraw(video.of.line, video)
    this.#waiting.add(video)
    if (video.expiresAtMs < Number.POSITIVE_INFINITY) this.#byExpiry.push(video)
  }

  #expire(video: DemandVideo): void {
    this.#waiting.delete(video)
    this.#onExpired(video)
  }

  #noteLimited(video: DemandVideo): void {
    if (video.demanded.maxMultiplierBps !== undefined) this.#limited.add(video)
  }

  /** Those that wait at the end. */
  *[Symbol.iterator](): Generator<DemandVideo> {
    yield* this.#waiting
  }
}

/** Infinite where there is no video. */
function notBeforeOf(video: DemandVideo | undefined): number {
  return video === undefined ? Number.POSITIVE_INFINITY : (video.demanded.notBeforeMs ?? 0)
}
