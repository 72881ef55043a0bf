import type { Fleet, Pool } from '../fleet.ts'
import { type HeadRow, headOf } from '../head-row.ts'
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
  /** When its device first begins with it; null = it has not been on one. */
  startMs: number | null = null
  /** Its place among those that were queued. */
  position: number | null = null
  readonly #pools: readonly Pool[]
  readonly #paces: Fleet['paces']
  #stepsLeft: number
  /** It stands on its device, and what it takes besides its steps is behind it. */
  #isStanding: boolean

  constructor(
    row: HeadRow,
    pools: readonly Pool[],
    paces: Fleet['paces'],
    running: RunningPart | null = null,
  ) {
    this.id = row.id
    this.row = row
    this.expiresAtMs = row.expires_in_ms
    this.cameBack = row.checkpoint_step !== null
    this.passedOverAtMs = row.passed_over_ms === null ? null : -row.passed_over_ms
    this.#pools = pools
    this.#paces = paces
    this.#isStanding = running !== null
    this.#stepsLeft =
      running === null
        ? row.num_steps - (row.checkpoint_step ?? 0)
        : Math.ceil(running.leftMs / this.#paceOn(running.pool).stepMs)
  }

  headOn(pool: number, nowMs: number): SimulatedHead {
    const head = headOf(this.row, this.#pool(pool), this.#paces)
    return new QueuedHead(this, { ...head, costMs: this.costMsOn(pool) }, nowMs)
  }

  costMsOn(pool: number): number {
    const { overheadMs, stepMs } = this.#paceOn(pool)
    return overheadMs + stepMs * this.#stepsLeft
  }

  deviceMsOn(pool: number): number {
    return this.costMsOn(pool)
  }

  yieldOn(pool: number, ranMs: number): number | null {
    const { stepMs, overheadMs } = this.#paceOn(pool)
    const besidesMs = this.#isStanding ? 0 : overheadMs
    // After the step that is under way, and at the earliest after the first.
    const steps = Math.max(1, Math.ceil((ranMs - besidesMs) / stepMs))
    if (steps >= this.#stepsLeft) return null
    this.#stepsLeft -= steps
    this.#isStanding = false
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

type PlainHead = ReturnType<typeof headOf>

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
  readonly tier: PlainHead['tier']
  readonly costMs: number
  readonly expiresInMs: number

  constructor(video: QueuedVideo, head: PlainHead, nowMs: number) {
    this.video = video
    this.videoId = head.videoId
    this.accountId = head.accountId
    this.keyId = head.keyId
    this.model = head.model
    this.queueKey = head.queueKey
    this.accountRunningMax = head.accountRunningMax
    this.keyRunningMax = head.keyRunningMax
    this.weight = head.weight
    this.tier = head.tier
    this.costMs = head.costMs
    this.expiresInMs = head.expiresInMs - nowMs
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
