import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { inOrderOfFilling } from '../delivery.ts'
import type { Fleet, InFlight, Pool } from '../fleet.ts'
import { type HeadRow, queueKeyOf } from '../head-row.ts'
import { predictUploadMs } from '../pace.ts'
import { fitsPool } from '../pool-fits.ts'
import type { Line } from '../simulation/line.ts'
import type { PoolRules } from '../simulation/simulated-pool.ts'
import { type Run, Simulation, type Watch } from '../simulation/simulation.ts'
import { type Arrival, LAST_ID } from './arrivals.ts'
import type { Forecast } from './expected-end.ts'
import { QueuedVideo } from './queued-video.ts'

/** The gate's settings that a forecast depends on. */
export interface GateRules {
  accountSharePercent: number
  /** How long a flex video that came back runs before it makes room again. */
  flexRunMsMin: number
}

/** Pools that may be given something, and the rules of each; made once for all futures. */
export interface OpenPools {
  pools: readonly Pool[]
  rules: readonly PoolRules[]
}

/** A pool that does not take what it is given makes nothing. */
export function openPoolsOf(fleet: Fleet): OpenPools {
  const pools = inOrderOfFilling(fleet.pools).filter(({ untaken }) => untaken === 0)
  return { pools, rules: pools.map(rulesOf) }
}

/** What there is as the simulation begins, and what comes later. */
export interface AheadParts {
  fleet: Fleet
  open: OpenPools
  queued: readonly HeadRow[]
  /** Flex videos that are on a device, by id; one that is left out makes no room. */
  running: ReadonlyMap<string, HeadRow>
  rules: GateRules
  /** In the order in which they come. */
  arrivals: Iterator<Arrival, undefined>
  /** The one to be foretold; null = all that are in flight and queued. */
  untilEnded: string | null
  /** What begins before is in nobody's way. */
  fromMs: number
}

/** Steps of the simulation in which nothing is on any slot, after which nobody will be. */
const IDLE_STEPS_MAX = 3

/** The gate run ahead in one future, until what is in flight and queued now has ended. */
export class Ahead implements Watch<QueuedVideo> {
  readonly forecasts = new Map<string, Forecast>()
  /** The tier in which each queued video is served first. */
  readonly tiers = new Map<string, ServiceTier>()
  readonly #fleet: Fleet
  readonly #pools: readonly Pool[]
  readonly #queued: readonly HeadRow[]
  readonly #running: ReadonlyMap<string, HeadRow>
  readonly #arrivals: Iterator<Arrival, undefined>
  readonly #simulation: Simulation<QueuedVideo>
  readonly #lines = new Map<string, Line<QueuedVideo>>()
  readonly #untilEnded: string | null
  readonly #fromMs: number
  /** What is foretold and has not ended. */
  readonly #left = new Set<string>()
  /** Queued videos that were given a slot. */
  #served = 0

  constructor({ fleet, open, queued, running, rules, arrivals, untilEnded, fromMs }: AheadParts) {
    this.#fleet = fleet
    this.#pools = open.pools
    this.#queued = queued.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    this.#running = running
    this.#arrivals = arrivals
    this.#untilEnded = untilEnded
    this.#fromMs = fromMs
    this.#simulation = new Simulation({
      pools: open.rules,
      time: fleet.time.copy(),
      running: fleet.running.copy(),
      ...rules,
      nearlyFreeMs: NEARLY_FREE_MS,
      watch: this,
    })
  }

  /** Yields now and then, until what is foretold has ended, or nobody goes any more. */
  *run(): Generator<undefined, void> {
    if (this.#untilEnded === null) for (const { id } of this.#queued) this.#left.add(id)
    else this.#left.add(this.#untilEnded)
    for (const attempt of this.#fleet.inFlight.toSorted(byRunning)) {
      this.#stand(attempt)
      yield
    }
    for (const row of this.#queued) {
      this.#queue(row)
      yield
    }
    let arrival = this.#arrivals.next().value
    for (let idleSteps = 0; idleSteps < IDLE_STEPS_MAX; ) {
      yield* this.#simulation.settleInParts()
      if (this.#left.size === 0) break
      if (arrival !== undefined && arrival.inMs <= this.#simulation.nextAtMs) {
        this.#simulation.runUntil(arrival.inMs)
        this.#queue(arrival.row)
        arrival = this.#arrivals.next().value
      } else if (!(yield* this.#simulation.stepInParts())) break
      idleSteps = arrival !== undefined || this.#simulation.isAtWork ? 0 : idleSteps + 1
      yield
    }
    this.#forecastUnserved()
  }

  started(video: QueuedVideo, { slot, startedAtMs, switchMs, endsAtMs, tier }: Run<QueuedVideo>): void {
    const { id, row } = video
    if (!isForetold(id)) return
    const pool = this.#pools[slot?.pool ?? Number.NaN]
    if (pool === undefined) return
    // One that made room, or runs as the simulation begins, has begun before.
    const before = this.forecasts.get(id)
    const startMs = before?.end?.startMs ?? startedAtMs + switchMs
    if (before === undefined) {
      if (startedAtMs >= this.#fromMs) this.#served += 1
      this.tiers.set(id, tier)
    }
    const position = before === undefined ? this.#served : before.position
    const storedMs = endsAtMs + predictUploadMs(this.#fleet.paces, pool, row)
    const end = { pool: pool.pool, startMs, freeMs: endsAtMs, storedMs, lateMs: storedMs }
    this.forecasts.set(id, { position, end })
    // Nobody has it make room.
    if (tier !== 'flex') this.#left.delete(id)
  }

  completed({ id }: QueuedVideo): void {
    this.#left.delete(id)
  }

  yielded(): void {}

  expired({ id }: QueuedVideo): void {
    this.#left.delete(id)
  }

  /** Videos that no slot was found for have a position behind all others, and no time. */
  #forecastUnserved(): void {
    for (const { id } of this.#queued) {
      if (this.forecasts.has(id)) continue
      this.#served += 1
      this.forecasts.set(id, { position: this.#served, end: null })
    }
  }

  #queue(row: HeadRow): void {
    const line = this.#lineOf(row)
    this.#simulation.queue(line, new QueuedVideo(row, this.#placeOf(line)))
  }

  /**
   * Puts what is in flight on a slot of its pool: a video that waits behind a nearly finished one follows it
   * on the slot that is free first. What runs on a pool that takes nothing new counts against limits alone.
   */
  #stand(attempt: InFlight): void {
    const number = this.#pools.findIndex(({ queue }) => queue === attempt.queue)
    const leftMs = Math.max(0, attempt.freeInMs ?? attempt.leftMs)
    const row = this.#running.get(attempt.videoId)
    const queued = row === undefined || number < 0 ? null : this.#mayGoBack(row, { pool: number, leftMs })
    const run = this.#simulation.stand(number < 0 ? null : number, { ...attempt, leftMs, queued })
    if (number < 0) return
    const { startedAtMs: startMs, endsAtMs: freeMs } = run
    const storedMs = freeMs + attempt.uploadMs
    const end = { pool: attempt.pool, startMs, freeMs, storedMs, lateMs: storedMs }
    this.forecasts.set(attempt.videoId, { position: null, end })
    if (queued !== null && this.#untilEnded === null) this.#left.add(attempt.videoId)
  }

  #mayGoBack(row: HeadRow, part: { pool: number; leftMs: number }) {
    const line = this.#lineOf(row)
    return { line, video: new QueuedVideo(row, this.#placeOf(line), part) }
  }

  #placeOf({ kind }: Line<QueuedVideo>) {
    return { pools: this.#pools, able: kind.pools, paces: this.#fleet.paces }
  }

  #lineOf(row: HeadRow): Line<QueuedVideo> {
    const queueKey = queueKeyOf(row)
    const known = this.#lines.get(queueKey)
    if (known !== undefined) return known
    const line = this.#simulation.addLine({
      queueKey,
      keyId: row.key_id,
      presence: this.#simulation.presenceOf(row.account_id),
      model: row.model,
      tier: row.service_tier,
      isFlex: row.service_tier === 'flex',
      isBarred: row.account_running_max === 0 || row.key_running_max === 0,
      pools: this.#pools.flatMap((pool, number) => (fitsPool(pool, row) ? [number] : [])),
    })
    this.#lines.set(queueKey, line)
    return line
  }
}

/** What only may come has no place among the others. */
function isForetold(id: string): boolean {
  return id <= LAST_ID
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
