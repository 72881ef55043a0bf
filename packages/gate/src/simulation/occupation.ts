import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Preemptable } from '../preempt.ts'
import type { Owner } from '../running-counts.ts'
import type { Line, SimulatedVideo } from './line.ts'

/** The simulation's clock. */
export interface Clock {
  nowMs: number
}

/** A device of a pool, or the share of several that makes one video at a time. */
export interface Slot {
  /** The pool's number, and its queue's name. */
  readonly pool: number
  readonly queue: string
  /** What it has loaded; null = nothing, or it is not known. */
  model: string | null
  occupation: Occupation | null
}

interface OccupationParts {
  clock: Clock
  slot: Slot | null
  owner: Owner
  tier: ServiceTier
  /** Null where it is not known what to do with it, should it make room: then it is not asked. */
  moved: { line: Line<SimulatedVideo>; video: SimulatedVideo } | null
  startedAtMs: number
  endsAtMs: number
  expiresAtMs: number
  cameBack: boolean
  /** Of its time so far, what the switch of models took before it. */
  switchMs: number
}

/**
 * A video on a slot, from its dispatch until the slot is free; as the rule sees it that has flex make room.
 */
export class Occupation implements Preemptable {
  readonly slot: Slot | null
  readonly accountId: string
  readonly keyId: string
  readonly tier: ServiceTier
  readonly moved: OccupationParts['moved']
  readonly startedAtMs: number
  readonly switchMs: number
  readonly cameBack: boolean
  readonly queue: string
  endsAtMs: number
  /** It was asked to make room. */
  isYielding = false
  /** And does, before it would be finished. */
  makesRoom = false
  isOver = false
  readonly #clock: Clock
  readonly #expiresAtMs: number

  constructor(parts: OccupationParts) {
    this.slot = parts.slot
    this.accountId = parts.owner.accountId
    this.keyId = parts.owner.keyId
    this.tier = parts.tier
    this.moved = parts.moved
    this.startedAtMs = parts.startedAtMs
    this.switchMs = parts.switchMs
    this.cameBack = parts.cameBack
    this.queue = parts.slot?.queue ?? ''
    this.endsAtMs = parts.endsAtMs
    this.#clock = parts.clock
    this.#expiresAtMs = parts.expiresAtMs
  }

  /** Its model is loaded by then. */
  get isRunning(): boolean {
    return this.moved !== null && this.#clock.nowMs >= this.startedAtMs + this.switchMs
  }

  get ranMs(): number {
    return this.#clock.nowMs - this.startedAtMs - this.switchMs
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
