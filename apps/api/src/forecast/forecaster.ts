import type { Clock } from '@sluice/shared/clock'
import { type Catalogue, capabilitiesOf, MODES } from '@sluice/shared/model-catalogue'
import type { Database } from '../db/database.ts'
import { accountCap, FairQueue } from '../gate/choose.ts'
import { Heap } from '../gate/heap.ts'
import { readHeads } from '../gate/queue-heads.ts'
import type { Owner } from '../gate/running-counts.ts'
import {
  type FleetState,
  type HeadRow,
  headOf,
  type InFlight,
  lineOf,
  type Pool,
  readFleet,
} from '../gate/snapshot.ts'
import type { Video } from '../videos/video.ts'

/** What is foreseen for one queued video. */
export interface Forecast {
  /** 1 = next; null for a video that runs. */
  position: number | null
  /** Seconds until it is finished; null while no pool that could run it is there. */
  etaSeconds: { p50: number; p90: number } | null
}

/** Videos simulated one by one; those behind get positions by count and ETAs by the pace of those before them. */
const SIMULATED_MAX = 2_000
const FRESH_MS = 1_000
/** Forecasts asked for by videos too new for the last one are made early, but take no more than this share of the time. */
const MAKING_SHARE = 0.05
/** A late video is late by about this much of its whole wait. */
const P90_FACTOR = 1.3

interface Round {
  forecasts: ReadonlyMap<string, Forecast>
  /** Lines with more videos than were simulated: nothing is known of those behind. */
  cutLines: ReadonlySet<string>
}

/**
 * Forecasts for queued and running videos: the gate's own choice, run ahead in time over a snapshot, at most once a second and only
 * when somebody asks.
 */
export class Forecaster {
  readonly #db: Database
  readonly #clock: Clock
  readonly #catalogue: Catalogue
  readonly #accountSharePercent: number
  readonly #onRound: ((forecasts: ReadonlyMap<string, Forecast>) => void) | undefined
  #madeAt = Number.NEGATIVE_INFINITY
  #tookMs = 0
  #round: Promise<Round> = Promise.resolve({ forecasts: new Map(), cutLines: new Set() })

  constructor(
    db: Database,
    clock: Clock,
    catalogue: Catalogue,
    accountSharePercent: number,
    onRound?: (forecasts: ReadonlyMap<string, Forecast>) => void,
  ) {
    this.#db = db
    this.#onRound = onRound
    this.#clock = clock
    this.#catalogue = catalogue
    this.#accountSharePercent = accountSharePercent
  }

  /** The forecast for a video, or null when it has ended, is behind the simulated ones, or nothing is known of it yet. */
  async of(video: Video): Promise<Forecast | null> {
    if (video.ended_at !== null) return null
    const round = await this.#current(false)
    const known = round.forecasts.get(video.id)
    if (isOfState(known, video)) return known
    if (video.status === 'queued' && round.cutLines.has(lineOf(video))) return null
    // It was submitted or dispatched after the last round.
    const renewed = (await this.#current(true)).forecasts.get(video.id)
    return isOfState(renewed, video) ? renewed : null
  }

  async #current(renew: boolean): Promise<Round> {
    const ageMs = this.#clock.now() - this.#madeAt
    const renewableMs = Math.min(FRESH_MS, Math.max(FRESH_MS / 4, this.#tookMs / MAKING_SHARE))
    if (ageMs >= FRESH_MS || ageMs < 0 || (renew && ageMs >= renewableMs)) {
      this.#madeAt = this.#clock.now()
      this.#round = this.#make()
      this.#round.catch(() => {
        this.#madeAt = Number.NEGATIVE_INFINITY
      })
    }
    return this.#round
  }

  async #make(): Promise<Round> {
    const startedAtMs = performance.now()
    const fleet = await readFleet(this.#db, this.#catalogue)
    const { rows, perLine } = await readHeads(
      this.#db,
      everyCapability(this.#catalogue, fleet),
      SIMULATED_MAX,
    )
    const counts = new Map<string, number>()
    for (const row of rows) counts.set(lineOf(row), (counts.get(lineOf(row)) ?? 0) + 1)
    const cutLines = new Set([...counts].flatMap(([line, count]) => (count >= perLine ? [line] : [])))
    const forecasts = simulate(fleet, rows, this.#accountSharePercent)
    this.#tookMs = performance.now() - startedAtMs
    this.#onRound?.(forecasts)
    return { forecasts, cutLines }
  }
}

/** What any queued video may ask for: also of a model that left the catalogue and is still served. */
export function everyCapability(catalogue: Catalogue, fleet: Pick<FleetState, 'pools'>): string[] {
  const known = capabilitiesOf(
    catalogue.models.map((model) => model.id),
    MODES,
  )
  return [...new Set([...known, ...fleet.pools.flatMap((pool) => pool.capabilities)])]
}

function isOfState(forecast: Forecast | undefined, video: Pick<Video, 'status'>): forecast is Forecast {
  return forecast !== undefined && (forecast.position === null) === (video.status !== 'queued')
}

interface Slot {
  freeAtMs: number
  /** Whose video is on it. */
  owner: Owner | null
}

/** One pool in the simulation. */
interface SimulatedPool {
  pool: Pool
  queue: FairQueue
  cap: number
  held: Map<string, number>
  /** Free slots whose pool had nobody who might go; they wait until a video that ends gives its account and key room. */
  idle: Slot[]
}

/** A moment at which a device is given back. Of no pool: one that nobody gets, since its pool is away or the next video is on it already. */
interface Turn {
  slot: Slot
  of: SimulatedPool | null
}

/** Runs the gate ahead: gives slot after slot, in the order they become free, to whom the gate would give it. Pure. */
export function simulate(
  fleet: FleetState,
  queued: readonly HeadRow[],
  accountSharePercent: number,
): ReadonlyMap<string, Forecast> {
  const forecasts = new Map<string, Forecast>()
  const lines = linesOf(queued)
  const time = fleet.time.copy()
  const running = fleet.running.copy()
  const turns = new Heap<Turn>((a, b) => a.slot.freeAtMs < b.slot.freeAtMs)
  const pools: SimulatedPool[] = []
  for (const pool of fleet.pools) {
    const of: SimulatedPool = {
      pool,
      queue: new FairQueue(time),
      cap: accountCap(pool, fleet.isShared, accountSharePercent),
      held: new Map(),
      idle: [],
    }
    for (const line of lines.values()) {
      const front = line.rows[0]
      if (front !== undefined && fits(front, pool)) of.queue.push(headOf(front, pool, fleet.paces))
    }
    pools.push(of)
    for (const turn of occupiedSlots(fleet, of, forecasts)) {
      if (turn.of !== null && turn.slot.owner !== null) hold(of, turn.slot.owner, 1)
      turns.push(turn)
    }
  }
  for (const slot of slotsOfAbsentPools(fleet)) turns.push({ slot, of: null })
  let position = 0
  for (let next = turns.pop(); next !== undefined; next = turns.pop()) {
    const { slot, of } = next
    if (slot.owner !== null) {
      if (of !== null) hold(of, slot.owner, -1)
      running.add(slot.owner, -1)
      for (const other of pools) {
        // There is room for one more, so one slot of each pool is enough.
        const idle = other.queue.resume(slot.owner) ? other.idle.pop() : undefined
        if (idle !== undefined) turns.push({ slot: { ...idle, freeAtMs: slot.freeAtMs }, of: other })
      }
      slot.owner = null
    }
    if (of === null) continue
    const choice = of.queue.next((head) =>
      (of.held.get(head.accountId) ?? 0) >= of.cap ? head.accountId : running.limitOf(head),
    )
    if (choice === null) {
      of.idle.push(slot)
      continue
    }
    const line = lines.get(choice.head.line)
    // Another pool may have taken the head meanwhile; then the line's present front stands in its place.
    const isPresent = line?.rows[line.served]?.id === choice.head.videoId
    if (line !== undefined && isPresent) {
      line.served += 1
      time.advance(choice)
      slot.freeAtMs += choice.head.costMs
      slot.owner = choice.head
      hold(of, slot.owner, 1)
      running.add(slot.owner, 1)
      position += 1
      forecasts.set(choice.head.videoId, { position, etaSeconds: eta(slot.freeAtMs / 1_000) })
    }
    const front = line?.rows[line.served]
    if (front !== undefined) of.queue.push(headOf(front, of.pool, fleet.paces))
    // The room that the one who is gone would have taken is still there.
    if (!isPresent) of.queue.resume(choice.head)
    turns.push(next)
  }
  for (const line of lines.values()) {
    for (const row of line.rows.slice(line.served))
      forecasts.set(row.id, { position: ++position, etaSeconds: null })
  }
  return forecasts
}

interface Line {
  rows: HeadRow[]
  /** How many of its rows have been given a slot. */
  served: number
}

/** All rows of a line ask for the same, so either all of them fit a pool or none. */
function linesOf(queued: readonly HeadRow[]): Map<string, Line> {
  const lines = new Map<string, Line>()
  for (const row of queued.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const key = lineOf(row)
    const line = lines.get(key)
    if (line === undefined) lines.set(key, { rows: [row], served: 0 })
    else line.rows.push(row)
  }
  return lines
}

function fits(row: HeadRow, pool: Pool): boolean {
  return (
    pool.capabilities.includes(row.capability) &&
    row.num_frames <= pool.framesMax &&
    row.width * row.height <= pool.pixelsMax &&
    (512n + row.video_tokens) % BigInt(pool.sequenceDevices) === 0n
  )
}

/** The pool's slots with what is on them; what waits behind a nearly finished video follows it on the slot that is free first. */
function occupiedSlots(fleet: FleetState, of: SimulatedPool, forecasts: Map<string, Forecast>): Turn[] {
  const { pool } = of
  const turns: Turn[] = []
  const earliest = new Heap<Slot>((a, b) => a.freeAtMs < b.freeAtMs)
  for (let index = 0; index < pool.slots; index += 1) earliest.push({ freeAtMs: 0, owner: null })
  const attempts = fleet.inFlight.filter((attempt) => attempt.pool === pool.pool)
  for (const attempt of attempts.sort((a, b) => Number(b.isRunning) - Number(a.isRunning))) {
    const slot = earliest.pop()
    if (slot === undefined) break
    if (slot.owner !== null) turns.push({ slot: { ...slot }, of: null })
    slot.freeAtMs += msLeft(attempt)
    slot.owner = attempt
    forecasts.set(attempt.videoId, {
      position: null,
      etaSeconds: attempt.freeInMs === null ? null : eta(slot.freeAtMs / 1_000),
    })
    earliest.push(slot)
  }
  for (let slot = earliest.pop(); slot !== undefined; slot = earliest.pop()) turns.push({ slot, of })
  return turns
}

/** What still runs on pools that take nothing new: it counts against the limits of its account and key until it ends. */
function slotsOfAbsentPools(fleet: FleetState): Slot[] {
  const present = new Set(fleet.pools.map((pool) => pool.pool))
  return fleet.inFlight
    .filter((attempt) => !present.has(attempt.pool))
    .map((attempt) => ({ freeAtMs: msLeft(attempt), owner: attempt }))
}

function msLeft(attempt: InFlight): number {
  return Math.max(0, attempt.freeInMs ?? attempt.leftMs)
}

function hold(of: SimulatedPool, { accountId }: Owner, change: 1 | -1): void {
  of.held.set(accountId, (of.held.get(accountId) ?? 0) + change)
}

function eta(seconds: number): { p50: number; p90: number } {
  const round = (value: number) => Math.round(value * 10) / 10
  return { p50: round(seconds), p90: round(seconds * P90_FACTOR) }
}
