import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { inOrderOfFilling } from '../delivery.ts'
import type { Fleet, InFlight, Pool } from '../fleet.ts'
import { type HeadRow, queueKeyOf } from '../head-row.ts'
import { type Paces, type PredictableVideo, predictDeviceMs, predictUploadMs } from '../pace.ts'
import { fitsPool } from '../pool-fits.ts'
import type { Line } from '../simulation/line.ts'
import type { PoolRules } from '../simulation/simulated-pool.ts'
import { type Run, Simulation, type Watch } from '../simulation/simulation.ts'
import { QueuedVideo } from './queued-video.ts'

/** What is expected of one video. */
export interface Forecast {
  /** 1 = next; null for a video that runs. */
  position: number | null
  /** Null while there is no pool that could run it. */
  end: ExpectedEnd | null
}

/** When and where a video is expected to be made, as if nobody came after it and all went by measure. */
export interface ExpectedEnd {
  pool: string
  /** Milliseconds until its device begins with it; 0 for one that runs. */
  startMs: number
  /** Milliseconds until its device is free. */
  freeMs: number
  /** Milliseconds until it is stored. */
  storedMs: number
}

/** Where the next video of a queue would come. */
export interface Place {
  position: number
  /** The tier it would be served in. */
  tier: ServiceTier
  /** When its slot is ready for it, and where that is; null while there is no pool that could run it. */
  start: { atMs: number; pool: Pool } | null
}

/** The forecasts of all videos in flight and queued. */
export interface Simulated {
  forecasts: ReadonlyMap<string, Forecast>
}

/**
 * Runs the gate ahead in time: every queued video gets the slot that the gate would give it, by the rules of
 * the gate, with nobody coming after them. It may be cut where it yields. Pure.
 */
export function* simulate(
  fleet: Fleet,
  queued: readonly HeadRow[],
  accountSharePercent: number,
): Generator<undefined, Simulated> {
  const ahead = new Ahead(fleet, queued, accountSharePercent)
  yield* ahead.run(() => ahead.forecasts.size >= fleet.inFlight.length + queued.length)
  ahead.forecastUnserved()
  return ahead
}

/** Where this video would come, were it queued behind all others. It may be cut where it yields. Pure. */
export function* simulateNext(
  fleet: Fleet,
  queued: readonly HeadRow[],
  video: HeadRow,
  accountSharePercent: number,
): Generator<undefined, Place | null> {
  const ahead = new Ahead(fleet, [...queued, { ...video, id: LAST_ID }], accountSharePercent)
  yield* ahead.run(() => ahead.lastPlace !== null)
  return ahead.lastPlace ?? { position: queued.length + 1, tier: video.service_tier, start: null }
}

/** What a new video may expect in this place. */
export function forecastAt(
  { position, start }: Place,
  video: PredictableVideo & { num_steps: number },
  paces: Paces,
): Forecast {
  if (start === null) return { position, end: null }
  const freeMs = start.atMs + predictDeviceMs(paces, start.pool, video, video.num_steps)
  const { pool } = start.pool
  return {
    position,
    end: { pool, startMs: start.atMs, freeMs, storedMs: freeMs + predictUploadMs(paces, start.pool, video) },
  }
}

/** Comes after every id of a video. */
const LAST_ID = '~'
/** In the simulation nobody makes room, so nobody is asked. */
const NEVER_MS = Number.POSITIVE_INFINITY
/** Steps of the simulation in which nothing is on any slot, after which nobody will be. */
const IDLE_STEPS_MAX = 3

class Ahead implements Watch<QueuedVideo>, Simulated {
  readonly forecasts = new Map<string, Forecast>()
  lastPlace: Place | null = null
  /** Videos that were given a slot. */
  served = 0
  readonly #fleet: Fleet
  readonly #pools: readonly Pool[]
  readonly #queued: readonly HeadRow[]
  readonly #simulation: Simulation<QueuedVideo>

  constructor(fleet: Fleet, queued: readonly HeadRow[], accountSharePercent: number) {
    this.#fleet = fleet
    // A pool that does not take what it is given makes nothing.
    this.#pools = inOrderOfFilling(fleet.pools).filter(({ untaken }) => untaken === 0)
    this.#queued = queued.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    this.#simulation = new Simulation({
      pools: this.#pools.map(rulesOf),
      time: fleet.time.copy(),
      running: fleet.running.copy(),
      accountSharePercent,
      flexRunMsMin: NEVER_MS,
      nearlyFreeMs: NEARLY_FREE_MS,
      watch: this,
    })
  }

  /** Yields now and then, until `isEnough`, or nobody goes any more. */
  *run(isEnough: () => boolean): Generator<undefined, void> {
    for (const attempt of this.#fleet.inFlight.toSorted(byRunning)) this.#stand(attempt)
    yield
    const lines = new Map<string, Line<QueuedVideo>>()
    for (const row of this.#queued) {
      const queueKey = queueKeyOf(row)
      const line = lines.get(queueKey) ?? this.#addLine(queueKey, row)
      lines.set(queueKey, line)
      this.#simulation.queue(line, new QueuedVideo(row, this.#pools, this.#fleet.paces))
    }
    yield
    for (let idleSteps = 0; idleSteps < IDLE_STEPS_MAX; ) {
      this.#simulation.settle()
      if (isEnough() || !this.#simulation.step()) return
      idleSteps = this.#simulation.isAtWork ? 0 : idleSteps + 1
      yield
    }
  }

  started(video: QueuedVideo, { slot, startedAtMs, switchMs, endsAtMs, tier }: Run<QueuedVideo>): void {
    this.served += 1
    const pool = this.#pools[slot?.pool ?? Number.NaN]
    if (pool === undefined) return
    const startMs = startedAtMs + switchMs
    const position = this.served
    if (video.id === LAST_ID) {
      this.lastPlace = { position, tier, start: { atMs: startMs, pool } }
      return
    }
    const storedMs = endsAtMs + predictUploadMs(this.#fleet.paces, pool, video.row)
    const end = { pool: pool.pool, startMs, freeMs: endsAtMs, storedMs }
    this.forecasts.set(video.id, { position, end })
  }

  completed(): void {}

  yielded(): void {}

  expired(): void {}

  /** Videos that no slot was found for have a position behind all others, and no time. */
  forecastUnserved(): void {
    for (const { id } of this.#queued) {
      if (this.forecasts.has(id)) continue
      this.served += 1
      this.forecasts.set(id, { position: this.served, end: null })
    }
  }

  /**
   * Puts what is in flight on a slot of its pool: a video that waits behind a nearly finished one follows it
   * on the slot that is free first. What runs on a pool that takes nothing new counts against limits alone.
   */
  #stand(attempt: InFlight): void {
    const number = this.#pools.findIndex(({ queue }) => queue === attempt.queue)
    const leftMs = Math.max(0, attempt.freeInMs ?? attempt.leftMs)
    const run = this.#simulation.stand(number < 0 ? null : number, { ...attempt, leftMs })
    if (number < 0) return
    const { startedAtMs: startMs, endsAtMs: freeMs } = run
    const end = { pool: attempt.pool, startMs, freeMs, storedMs: freeMs + attempt.uploadMs }
    this.forecasts.set(attempt.videoId, { position: null, end })
  }

  #addLine(queueKey: string, row: HeadRow): Line<QueuedVideo> {
    return this.#simulation.addLine({
      queueKey,
      keyId: row.key_id,
      presence: this.#simulation.presenceOf(row.account_id),
      model: row.model,
      tier: row.service_tier,
      isFlex: row.service_tier === 'flex',
      isBarred: row.account_running_max === 0 || row.key_running_max === 0,
      pools: this.#pools.flatMap((pool, number) => (fitsPool(pool, row) ? [number] : [])),
    })
  }
}

function byRunning(a: InFlight, b: InFlight): number {
  return Number(b.isRunning) - Number(a.isRunning)
}

function rulesOf(pool: Pool): PoolRules {
  const { loaded } = pool
  const models = loaded.flatMap(({ model }) => model ?? [])
  const isKnown = loaded.length > 0 && models.length === loaded.length
  return { ...pool, loadedFirst: isKnown ? models : null }
}
