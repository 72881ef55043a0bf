import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Preemptable } from '../preempt.ts'
import type { Presence } from './presence.ts'

/** The simulation's clock. */
export interface Clock {
  readonly nowMs: number
}

/** A device of a pool, or the share of several that makes one video at a time. */
export interface Slot {
  /** The pool's number, and its queue's name. */
  readonly pool: number
  readonly queue: string
  /** Its place in the pool, from 0. */
  readonly number: number
  /** What it has loaded when the last video that was given to it is over; null = nothing, or not known. */
  model: string | null
  /** When that is. */
  freeAtMs: number
  /** It may be given away. */
  isIdle: boolean
  /** It may not, until shortly before it is free. */
  isTaken: boolean
}

/** What is known of a video as it gets a slot. */
export interface OccupationParts<Line, Video> {
  clock: Clock
  slot: Slot | null
  keyId: string
  presence: Presence
  tier: ServiceTier
  line: Line | null
  video: Video | null
  startedAtMs: number
  /** Of its time, what a switch of models takes before it. */
  switchMs: number
  /** How long it had run as the simulation began; left out = 0. */
  ranBeforeMs?: number
  endsAtMs: number
  expiresAtMs: number
  cameBack: boolean
}

/**
 * A video on a slot, from its dispatch until the slot is free; as the rule sees it that has flex make room.
 * Without a slot it counts against limits alone; without a video nothing is known of it but when it ends.
 */
export class Occupation<Line, Video> implements Preemptable {
  readonly slot: Slot | null
  readonly keyId: string
  readonly presence: Presence
  readonly tier: ServiceTier
  readonly line: Line | null
  readonly video: Video | null
  readonly switchMs: number
  readonly cameBack: boolean
  readonly ranBeforeMs: number
  /** When the device begins with it: the slot may be given away a moment before it is free. */
  readonly startedAtMs: number
  endsAtMs: number
  /** When the slot may be given away. */
  availableAtMs = Number.NaN
  /** It was asked to make room. */
  isYielding = false
  /** And does, before it would be finished. */
  makesRoom = false
  state: 'occupying' | 'nearly over' | 'over' = 'occupying'
  /** Among the runs of its pool. */
  place = 0
  readonly #clock: Clock
  readonly #expiresAtMs: number

  constructor(parts: OccupationParts<Line, Video>) {
    this.slot = parts.slot
    this.keyId = parts.keyId
    this.presence = parts.presence
    this.tier = parts.tier
    this.line = parts.line
    this.video = parts.video
    this.switchMs = parts.switchMs
    this.cameBack = parts.cameBack
    this.ranBeforeMs = parts.ranBeforeMs ?? 0
    this.startedAtMs = parts.startedAtMs
    this.endsAtMs = parts.endsAtMs
    this.#clock = parts.clock
    this.#expiresAtMs = parts.expiresAtMs
  }

  get accountId(): string {
    return this.presence.accountId
  }

  get queue(): string {
    return this.slot?.queue ?? ''
  }

  /** Its model is loaded by then. */
  get isRunning(): boolean {
    return this.video !== null && this.#clock.nowMs >= this.startedAtMs + this.switchMs
  }

  get ranMs(): number {
    return this.ranBeforeMs + this.#clock.nowMs - this.startedAtMs - this.switchMs
  }

  get leftMs(): number {
    return this.endsAtMs - this.#clock.nowMs
  }

  get freeInMs(): number {
    return this.leftMs
  }

  get expiresInMs(): number {
    return this.#expiresAtMs - this.#clock.nowMs
  }
}
