import type { Fleet, Pool } from '../fleet.ts'
import { type HeadRow, headOf } from '../head-row.ts'
import { predictDeviceMs } from '../pace.ts'
import type { SimulatedHead, SimulatedVideo } from '../simulation/line.ts'

/** A queued video of a snapshot, as the simulation moves it. */
export class QueuedVideo implements SimulatedVideo {
  readonly id: string
  readonly row: HeadRow
  readonly expiresAtMs: number
  readonly cameBack: boolean
  passedOverAtMs: number | null
  putOffAtMs: number | undefined
  readonly #pools: readonly Pool[]
  readonly #paces: Fleet['paces']

  constructor(row: HeadRow, pools: readonly Pool[], paces: Fleet['paces']) {
    this.id = row.id
    this.row = row
    this.expiresAtMs = row.expires_in_ms
    this.cameBack = row.checkpoint_step !== null
    this.passedOverAtMs = row.passed_over_ms === null ? null : -row.passed_over_ms
    this.#pools = pools
    this.#paces = paces
  }

  headOn(pool: number, nowMs: number): SimulatedHead {
    return new QueuedHead(this, headOf(this.row, this.#pool(pool), this.#paces), nowMs)
  }

  costMsOn(pool: number): number {
    const { row } = this
    return predictDeviceMs(this.#paces, this.#pool(pool), row, row.num_steps - (row.checkpoint_step ?? 0))
  }

  deviceMsOn(pool: number): number {
    return this.costMsOn(pool)
  }

  /** Nobody is foretold a time in which it makes room: what comes later is not known either. */
  yieldOn(): null {
    return null
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
