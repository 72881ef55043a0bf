import type { ServiceTier } from '@sluice/shared/service-tier'
import type { DevicePace } from '../pace.ts'
import type { Line, SimulatedHead, SimulatedVideo } from '../simulation/line.ts'
import type { AccountOutcome, DemandedVideo, VideoKind } from './demand.ts'

/** A key of an account, with the limits of both. */
export interface Submitter {
  number: number
  accountId: string
  keyId: string
  weight: number
  accountRunningMax: number | null
  keyRunningMax: number | null
  /** What came of its account. */
  outcome: AccountOutcome
  /** By kind; of each one for every tier. */
  lines: Map<VideoKind, DemandLine[]>
}

/** The line of a key, kind and tier, with what its videos have in common. */
export interface DemandLine {
  line: Line<DemandVideo>
  submitter: Submitter
  tier: ServiceTier
  kind: VideoKind
  queueKey: string
  /** By the pool's number; null = it cannot make it. */
  paces: readonly (DevicePace | null)[]
  /** Milliseconds of a whole video, by the pool's number; infinite where that cannot make it. */
  costsMs: readonly number[]
}

/** Milliseconds of so many steps, by the pool's number; infinite where that cannot make them. */
export function costsOf(paces: readonly (DevicePace | null)[], steps: number): readonly number[] {
  return paces.map((pace) =>
    pace === null ? Number.POSITIVE_INFINITY : pace.overheadMs + pace.stepMs * steps,
  )
}

/** Numbers from here on have as many digits as each other. */
const FIRST_ID = 1_000_000_000

/** A video that was submitted, until it has ended. */
export class DemandVideo implements SimulatedVideo {
  readonly id: string
  readonly number: number
  readonly demanded: DemandedVideo
  readonly of: DemandLine
  readonly expiresAtMs: number
  cameBack = false
  startedAtMs: number | null = null
  pool: number | null = null
  deviceMs = 0
  yields = 0
  /** What flex cost when it was first dispatched, in basis points; null before that, and in other tiers. */
  multiplierBps: number | null = null
  passedOverAtMs: number | null = null
  putOffAtMs: number | undefined
  readonly #slowness: number
  #stepsLeft: number
  #costsMs: readonly number[]

  constructor(number: number, demanded: DemandedVideo, of: DemandLine) {
    this.id = String(FIRST_ID + number)
    this.number = number
    this.demanded = demanded
    this.of = of
    this.expiresAtMs = demanded.atMs + (demanded.expiresAfterMs ?? Number.POSITIVE_INFINITY)
    this.#slowness = demanded.slowness ?? 1
    this.#stepsLeft = demanded.kind.steps
    this.#costsMs = of.costsMs
  }

  get costsMs(): readonly number[] {
    return this.#costsMs
  }

  headOn(pool: number, nowMs: number): SimulatedHead {
    return new DemandHead(this, this.#costsMs[pool] ?? Number.POSITIVE_INFINITY, nowMs)
  }

  deviceMsOn(pool: number): number {
    return (this.#costsMs[pool] ?? Number.POSITIVE_INFINITY) * this.#slowness
  }

  yieldOn(pool: number, ranMs: number): number | null {
    const { stepMs, overheadMs } = this.#paceOn(pool)
    const [overhead, step] = [overheadMs * this.#slowness, stepMs * this.#slowness]
    // After the step that is under way, and at the earliest after the first.
    const steps = Math.max(1, Math.ceil((ranMs - overhead) / step))
    if (steps >= this.#stepsLeft) return null
    this.#stepsLeft -= steps
    this.#costsMs = costsOf(this.of.paces, this.#stepsLeft)
    this.cameBack = true
    return overhead + steps * step - ranMs
  }

  #paceOn(pool: number): DevicePace {
    const pace = this.of.paces[pool]
    if (pace == null) throw new RangeError(`pool ${pool} cannot make ${this.of.kind.name}`)
    return pace
  }
}

class DemandHead implements SimulatedHead {
  readonly videoId: string
  readonly costMs: number
  readonly expiresInMs: number
  readonly video: DemandVideo

  constructor(video: DemandVideo, costMs: number, nowMs: number) {
    this.video = video
    this.videoId = video.id
    this.costMs = costMs
    this.expiresInMs = video.expiresAtMs - nowMs
  }

  get accountId(): string {
    return this.video.of.submitter.accountId
  }

  get keyId(): string {
    return this.video.of.submitter.keyId
  }

  get model(): string {
    return this.video.of.kind.model
  }

  get queueKey(): string {
    return this.video.of.queueKey
  }

  get accountRunningMax(): number | null {
    return this.video.of.submitter.accountRunningMax
  }

  get keyRunningMax(): number | null {
    return this.video.of.submitter.keyRunningMax
  }

  get weight(): number {
    return this.video.of.submitter.weight
  }

  get tier(): ServiceTier {
    return this.video.of.tier
  }

  /** One note for all pools, as the row of the video has it. */
  get passedOverAtMs(): number | null {
    return this.video.passedOverAtMs
  }

  set passedOverAtMs(atMs: number | null) {
    this.video.passedOverAtMs = atMs
  }

  get putOffAtMs(): number | undefined {
    return this.video.putOffAtMs
  }

  set putOffAtMs(atMs: number | undefined) {
    this.video.putOffAtMs = atMs
  }
}
