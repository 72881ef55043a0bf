import type { Fleet, Pool } from '../fleet.ts'
import { type HeadRow, queueKeyOf } from '../head-row.ts'
import { type DevicePace, predictPace } from '../pace.ts'
import type { SimulatedHead, SimulatedVideo } from '../simulation/line.ts'

/** What runs of a video that was on a device before the simulation began. */
export interface RunningPart {
  pool: number
  leftMs: number
}

/** A video of a snapshot, as the simulation moves it. */
export class QueuedVideo implements SimulatedVideo {
  readonly id: string
  readonly row: HeadRow
  readonly expiresAtMs: number
  cameBack: boolean
  passedOverAtMs: number | null
  putOffAtMs: number | undefined
  readonly queueKey: string
  readonly #pools: readonly Pool[]
  readonly #paces: Fleet['paces']
  /** The numbers of those that can make it. */
  readonly #able: readonly number[]
  #costsMs: readonly number[] | null = null
  #stepsLeft: number
  /** It stands on its device, and what it takes besides its steps is behind it. */
  #isStanding: boolean

  constructor(
    row: HeadRow,
    { pools, able, paces }: { pools: readonly Pool[]; able: readonly number[]; paces: Fleet['paces'] },
    running: RunningPart | null = null,
  ) {
    this.id = row.id
    this.row = row
    this.queueKey = queueKeyOf(row)
    this.expiresAtMs = row.expires_in_ms
    this.cameBack = row.checkpoint_step !== null
    this.passedOverAtMs = row.passed_over_ms === null ? null : -row.passed_over_ms
    this.#pools = pools
    this.#paces = paces
    this.#able = able
    this.#isStanding = running !== null
    this.#stepsLeft = running === null ? row.num_steps - (row.checkpoint_step ?? 0) : this.#stepsOf(running)
  }

  #stepsOf({ pool, leftMs }: RunningPart): number {
    const { stepMs } = this.#paceOn(pool)
    // Steps that take no time were measured of workers that said so.
    return stepMs > 0 ? Math.ceil(leftMs / stepMs) : 0
  }

  headOn(pool: number, nowMs: number): SimulatedHead {
    return new QueuedHead(this, this.deviceMsOn(pool), nowMs)
  }

  get costsMs(): readonly number[] {
    this.#costsMs ??= this.#pools.map((_, pool) => this.#costMsOn(pool))
    return this.#costsMs
  }

  #costMsOn(pool: number): number {
    if (!this.#able.includes(pool)) return Number.POSITIVE_INFINITY
    const { overheadMs, stepMs } = this.#paceOn(pool)
    return overheadMs + stepMs * this.#stepsLeft
  }

  deviceMsOn(pool: number): number {
    return this.costsMs[pool] ?? Number.POSITIVE_INFINITY
  }

  yieldOn(pool: number, ranMs: number): number | null {
    const { stepMs, overheadMs } = this.#paceOn(pool)
    if (stepMs <= 0) return null
    const besidesMs = this.#isStanding ? 0 : overheadMs
    // After the step that is under way, and at the earliest after the first.
    const steps = Math.max(1, Math.ceil((ranMs - besidesMs) / stepMs))
    if (steps >= this.#stepsLeft) return null
    this.#stepsLeft -= steps
    this.#isStanding = false
    this.#costsMs = null
    this.cameBack = true
    return besidesMs + steps * stepMs - ranMs
  }

  #paceOn(pool: number): DevicePace {
    return predictPace(this.#paces, this.#pool(pool), this.row)
  }

  #pool(number: number): Pool {
    const pool = this.#pools[number]
    if (pool === undefined) throw new RangeError(`there is no pool ${number}`)
    return pool
  }
}

class QueuedHead implements SimulatedHead {
  readonly video: QueuedVideo
  readonly videoId: string
  readonly accountId: string
  readonly keyId: string
  readonly model: string
  readonly queueKey: string
  readonly accountRunningMax: number | null
  readonly keyRunningMax: number | null
  readonly weight: number
  readonly tier: HeadRow['service_tier']
  readonly costMs: number
  readonly expiresInMs: number

  constructor(video: QueuedVideo, costMs: number, nowMs: number) {
    const { row, queueKey } = video
    this.video = video
    this.videoId = row.id
    this.accountId = row.account_id
    this.keyId = row.key_id
    this.model = row.model
    this.queueKey = queueKey
    this.accountRunningMax = row.account_running_max
    this.keyRunningMax = row.key_running_max
    this.weight = row.weight
    this.tier = row.service_tier
    this.costMs = costMs
    this.expiresInMs = row.expires_in_ms - nowMs
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
