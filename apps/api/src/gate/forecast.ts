import type { Clock } from '@sluice/shared/clock'
import type { Database } from '../db/database.ts'
import type { ServiceTier, Video } from '../videos/video.ts'
import { chooseNext, type Head, type PoolSnapshot, type VirtualTime } from './choose.ts'
import { type FleetState, HEAD_COLUMNS, type HeadRow, headOf, type Pool, readFleet } from './snapshot.ts'

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
/** A late video is late by about this much of its whole wait. */
const P90_FACTOR = 1.3

/**
 * Forecasts for queued and running videos: the gate's own choice, run ahead in time over a snapshot, at most once a second and only
 * when somebody asks.
 */
export class Forecaster {
  readonly #db: Database
  readonly #clock: Clock
  readonly #accountSharePercent: number
  #madeAt = Number.NEGATIVE_INFINITY
  #forecasts: Promise<ReadonlyMap<string, Forecast>> = Promise.resolve(new Map())

  constructor(db: Database, clock: Clock, accountSharePercent: number) {
    this.#db = db
    this.#clock = clock
    this.#accountSharePercent = accountSharePercent
  }

  /** The forecast for a video, or null when it has ended, is behind the simulated ones, or nothing is known of it yet. */
  async of(video: Pick<Video, 'id' | 'status' | 'ended_at'>): Promise<Forecast | null> {
    if (video.ended_at !== null) return null
    const known = (await this.#current(false)).get(video.id)
    if (isOfState(known, video)) return known
    // It was submitted or dispatched after the last round.
    const renewed = (await this.#current(true)).get(video.id)
    return isOfState(renewed, video) ? renewed : null
  }

  async #current(renew: boolean): Promise<ReadonlyMap<string, Forecast>> {
    const ageMs = this.#clock.now() - this.#madeAt
    if (ageMs >= FRESH_MS || (renew && ageMs >= FRESH_MS / 4)) {
      this.#madeAt = this.#clock.now()
      this.#forecasts = this.#make()
      this.#forecasts.catch(() => {
        this.#madeAt = Number.NEGATIVE_INFINITY
      })
    }
    return this.#forecasts
  }

  async #make(): Promise<ReadonlyMap<string, Forecast>> {
    const fleet = await readFleet(this.#db)
    const { rows } = await this.#db.query<HeadRow>({
      name: 'forecast-queued',
      text: `select ${HEAD_COLUMNS} from video v join account a on a.id = v.account_id where v.status = 'queued' order by v.id limit $1`,
      values: [SIMULATED_MAX],
    })
    return simulate(fleet, rows, this.#accountSharePercent)
  }
}

function isOfState(forecast: Forecast | undefined, video: Pick<Video, 'status'>): forecast is Forecast {
  return forecast !== undefined && (forecast.position === null) === (video.status !== 'queued')
}

interface Slot {
  pool: Pool
  freeAtMs: number
  accountId: string | null
}

/** Runs the gate ahead: gives slot after slot, in the order they become free, to whom the gate would give it. Pure. */
export function simulate(fleet: FleetState, queued: readonly HeadRow[], accountSharePercent: number): ReadonlyMap<string, Forecast> {
  const forecasts = new Map<string, Forecast>()
  const lines = linesOf(queued)
  const time = virtualTimeFrom(fleet.time)
  const slots = slotsOf(fleet)
  for (const attempt of fleet.inFlight) {
    const seconds = Math.max(0, attempt.freeInMs ?? 0) / 1_000
    forecasts.set(attempt.videoId, { position: null, etaSeconds: attempt.freeInMs === null ? null : eta(seconds) })
  }
  let position = 0
  while (slots.length > 0) {
    slots.sort((a, b) => a.freeAtMs - b.freeAtMs)
    const slot = slots[0]
    if (slot === undefined) break
    slot.accountId = null
    const { pool } = slot
    const heads = headsFor(lines, pool, fleet)
    const snapshot: PoolSnapshot = {
      pool: pool.pool,
      slots: pool.slots,
      freeSlots: 1,
      heldByAccount: heldBy(slots, pool),
      isShared: fleet.isShared,
      heads,
    }
    const choice = chooseNext(snapshot, time, accountSharePercent)
    if (choice === null) {
      const isBlockedByCap =
        heads.length > 0 && slots.some((other) => other !== slot && other.pool === pool && other.freeAtMs > slot.freeAtMs)
      const nextFreeMs = Math.min(
        ...slots.filter((other) => other !== slot && other.freeAtMs > slot.freeAtMs).map((other) => other.freeAtMs),
      )
      if (isBlockedByCap && Number.isFinite(nextFreeMs)) slot.freeAtMs = nextFreeMs
      else slots.shift()
      continue
    }
    take(lines, choice.head.videoId)
    time.advance(choice.lane, choice.head.accountId, choice.startTagMs, choice.finishTagMs)
    slot.freeAtMs += choice.head.costMs
    slot.accountId = choice.head.accountId
    position += 1
    forecasts.set(choice.head.videoId, { position, etaSeconds: eta(slot.freeAtMs / 1_000) })
  }
  for (const line of lines.values()) {
    for (const row of line) forecasts.set(row.id, { position: ++position, etaSeconds: null })
  }
  return forecasts
}

type Lines = Map<string, HeadRow[]>

/** By account, model and tier, as the gate's index is. */
function linesOf(queued: readonly HeadRow[]): Lines {
  const lines: Lines = new Map()
  for (const row of queued) {
    const key = `${row.account_id} ${row.model} ${row.service_tier}`
    const line = lines.get(key)
    if (line === undefined) lines.set(key, [row])
    else line.push(row)
  }
  return lines
}

function headsFor(lines: Lines, pool: Pool, fleet: FleetState): Head[] {
  const heads: Head[] = []
  for (const line of lines.values()) {
    const row = line.find((candidate) => fits(candidate, pool))
    if (row !== undefined) heads.push(headOf(row, pool, fleet.paces))
  }
  return heads
}

function fits(row: HeadRow, pool: Pool): boolean {
  return (
    pool.models.includes(row.model) &&
    row.num_frames <= pool.framesMax &&
    row.width * row.height <= pool.pixelsMax &&
    (512n + row.video_tokens) % BigInt(pool.devicesPerSlot) === 0n
  )
}

function take(lines: Lines, videoId: string): void {
  for (const [key, line] of lines) {
    const index = line.findIndex((row) => row.id === videoId)
    if (index < 0) continue
    line.splice(index, 1)
    if (line.length === 0) lines.delete(key)
    return
  }
}

function slotsOf(fleet: FleetState): Slot[] {
  return fleet.pools.flatMap((pool) => {
    const busy = fleet.inFlight.filter((attempt) => attempt.pool === pool.pool)
    return Array.from({ length: pool.slots }, (_, index) => {
      const attempt = busy[index]
      return { pool, freeAtMs: attempt === undefined ? 0 : Math.max(0, attempt.freeInMs ?? 0), accountId: attempt?.accountId ?? null }
    })
  })
}

function heldBy(slots: readonly Slot[], pool: Pool): ReadonlyMap<string, number> {
  const held = new Map<string, number>()
  for (const slot of slots) {
    if (slot.pool === pool && slot.accountId !== null) held.set(slot.accountId, (held.get(slot.accountId) ?? 0) + 1)
  }
  return held
}

function virtualTimeFrom(time: VirtualTime): VirtualTime & {
  advance(lane: ServiceTier, accountId: string, startTagMs: number, finishTagMs: number): void
} {
  const clockMs = new Map(time.clockMs)
  const finishes = new Map<string, number>()
  return {
    clockMs,
    finishMs: (lane, accountId) => finishes.get(`${lane} ${accountId}`) ?? time.finishMs(lane, accountId),
    advance: (lane, accountId, startTagMs, finishTagMs) => {
      clockMs.set(lane, Math.max(clockMs.get(lane) ?? 0, startTagMs))
      finishes.set(`${lane} ${accountId}`, finishTagMs)
    },
  }
}

function eta(seconds: number): { p50: number; p90: number } {
  const round = (value: number) => Math.round(value * 10) / 10
  return { p50: round(seconds), p90: round(seconds * P90_FACTOR) }
}
