import { tierOf } from '@sluice/gate/choose'
import { type FlexWait, forecastLater, msUntilReady } from '@sluice/gate/forecast/later'
import { type Forecast, forecastAt, type Place, simulate, simulateNext } from '@sluice/gate/forecast/simulate'
import { type HeadRow, headOf, queueKeyOf } from '@sluice/gate/head-row'
import { type PredictableVideo, predictDeviceMs } from '@sluice/gate/pace'
import { capabilitiesOf } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { MODES } from '@sluice/shared/models/model'
import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import type { Database } from '../db/database.ts'
import { type FleetSettings, type ReadFleet, readFleet } from '../gate/fleet.ts'
import { readFirstOfQueues, readQueued } from '../gate/queue-heads.ts'
import { cutAtYields } from '../in-slices.ts'
import type { Video } from '../videos/video.ts'

/** Videos simulated one by one; nothing is known of those behind them in their queues. */
const SIMULATED_MAX = 2_000
const KEPT_MS = 1_000
/** Nobody who asks later waits for a reading that takes longer: its connection may be dead. */
const SHARED_MS_MAX = 10_000
const KEPT = { keptMsMin: KEPT_MS, keptMsMax: KEPT_MS, sharedMsMax: SHARED_MS_MAX }
/** Forecasts asked for by videos too new for the last ones are made early, but no more often than this. */
const RENEWED_MS_MIN = 250

/** A video that was promised a time is queued within this long, or not at all. */
const QUEUED_MS_MAX = 2_000
/** By then a snapshot has seen it. */
const UNSEEN_MS_MAX = QUEUED_MS_MAX + SHARED_MS_MAX

/** A video that is not queued yet. */
export type NewVideo = Omit<HeadRow, 'id' | 'checkpoint_step' | 'passed_over_ms'>

/** What is simulated: the fleet, and the first videos of each queue. */
interface Snapshot {
  /** When its reading began, by the process's clock. */
  readAtMs: number
  fleet: ReadFleet
  rows: HeadRow[]
  /** The most videos of one queue there are in `rows`. */
  perQueue: number
}

interface Forecasts {
  snapshot: Snapshot
  byVideo: ReadonlyMap<string, Forecast>
  /** Keys of queues with more videos than were simulated. */
  cutQueues: ReadonlySet<string>
  /** Where the next video of a queue would come, by queue key. */
  places: Map<string, Promise<Place | null>>
}

export interface ForecasterParts extends FleetSettings {
  db: Database
  accountSharePercent: number
  /** Gets all forecasts each time they were made. May not throw. */
  onForecasts?: (forecasts: ReadonlyMap<string, Forecast>) => void
}

/**
 * Forecasts for queued and running videos, and for one that is only being quoted: the gate's own choice, run
 * ahead in time over a snapshot. Made when somebody asks, and at most once a second for all who do.
 */
export class Forecaster {
  readonly #parts: ForecasterParts
  readonly #forecasts = new SnapshotCache<Forecasts>(KEPT)
  /** Videos that were promised a time of late, oldest first. */
  readonly #promised: { row: HeadRow; atMs: number }[] = []

  constructor(parts: ForecasterParts) {
    this.#parts = parts
  }

  /**
   * A video's forecast; null when it has ended, is too far behind in its queue, or nothing is known of it
   * yet.
   */
  async of(video: Video): Promise<Forecast | null> {
    if (video.ended_at !== null) return null
    if (video.status === 'queued' && video.waits_for !== null) return this.#ofWaiting(video)
    const { byVideo, cutQueues } = await this.#forecasts.get(() => this.#make())
    const forecast = byVideo.get(video.id)
    if (isOfState(forecast, video)) return forecast
    if (video.status === 'queued' && cutQueues.has(queueKeyOf(video))) return null
    // It was submitted or dispatched after the forecasts were made.
    const renewed = await this.#forecasts.get(() => this.#make(), RENEWED_MS_MIN)
    const newer = renewed.byVideo.get(video.id)
    if (isOfState(newer, video)) return newer
    // Newer than they are: the next of its queue, or one of the next.
    const place = video.fence === 0 ? await renewed.places.get(queueKeyOf(video)) : null
    return place == null ? null : forecastAt(place, video, renewed.snapshot.fleet.paces)
  }

  /** The forecast of a video, were it submitted now; null when its queue is longer than what is simulated. */
  async ofNew(video: NewVideo): Promise<Forecast | null> {
    const forecasts = await this.#forecasts.get(() => this.#make())
    const queueKey = queueKeyOf(video)
    if (forecasts.cutQueues.has(queueKey)) return null
    const place = await this.#placeOf(forecasts, queueKey, video)
    return place === null ? null : forecastWhenReady(forecasts, place, video, video)
  }

  /** Of a flex video whose time or price has not come; null when its queue is longer than is simulated. */
  async #ofWaiting(video: Video): Promise<Forecast | null> {
    const forecasts = await this.#forecasts.get(() => this.#make())
    const { fleet } = forecasts.snapshot
    const queueKey = queueKeyOf(video)
    if (forecasts.cutQueues.has(queueKey)) return null
    const wait = {
      multiplier_bps_max: video.max_price_micros === null ? null : video.multiplier_bps,
      not_before_in_ms: Math.max(0, (video.not_before?.getTime() ?? 0) - fleet.flex.atMs),
    }
    const known = await forecasts.places.get(queueKey)
    if (known !== undefined && known !== null) return forecastWhenReady(forecasts, known, video, wait)
    const row = await readQueued(this.#parts.db, video.id)
    const place = row === null ? null : await this.#placeOf(forecasts, queueKey, row)
    return place === null ? null : forecastWhenReady(forecasts, place, video, wait)
  }

  /**
   * As `ofNew`, among all videos that were promised a time here until now: of a burst of promises each counts
   * for those after it.
   */
  async ofPromised(video: NewVideo): Promise<Forecast | null> {
    const forecasts = await this.#forecasts.get(() => this.#make(), RENEWED_MS_MIN)
    const { fleet, rows } = forecasts.snapshot
    const unseen = this.#unseenBy(forecasts.snapshot)
    const queueKey = queueKeyOf(video)
    if (forecasts.cutQueues.has(queueKey)) return null
    const place =
      unseen.length === 0
        ? await this.#placeOf(forecasts, queueKey, video)
        : await cutAtYields(
            simulateNext(fleet, [...rows, ...unseen], rowOfNew(video), this.#parts.accountSharePercent),
          )
    return place === null ? null : forecastAt(place, video, fleet.paces)
  }

  /** A video was promised a time, and is about to be queued. */
  notePromised(videoId: string, video: NewVideo): void {
    const nowMs = performance.now()
    while ((this.#promised[0]?.atMs ?? nowMs) < nowMs - UNSEEN_MS_MAX) this.#promised.shift()
    if (this.#promised.length < SIMULATED_MAX)
      this.#promised.push({ row: { ...rowOfNew(video), id: videoId }, atMs: nowMs })
  }

  /** Videos that were promised a time, and may have been queued after the snapshot was read. */
  #unseenBy({ readAtMs, rows, fleet }: Snapshot): HeadRow[] {
    const recent = this.#promised.filter(({ atMs }) => atMs > readAtMs - QUEUED_MS_MAX)
    if (recent.length === 0) return []
    const seen = new Set([...rows.map(({ id }) => id), ...fleet.inFlight.map(({ videoId }) => videoId)])
    return recent.flatMap(({ row }) => (seen.has(row.id) ? [] : row))
  }

  /** What no simulation has found yet is found out once, for all who ask for a video of this queue. */
  #placeOf({ snapshot, places }: Forecasts, queueKey: string, video: NewVideo): Promise<Place | null> {
    const { fleet, rows } = snapshot
    const row = rowOfNew(video)
    // Unlike the others of its queue, which depends on its deadline and its cost.
    const isUrgent = fleet.pools.some((pool) => tierOf(headOf(row, pool, fleet.paces)) !== video.service_tier)
    const key = isUrgent ? `${queueKey} ${video.expires_in_ms} ${video.num_steps}` : queueKey
    const known = places.get(key)
    if (known !== undefined) return known
    const found = cutAtYields(simulateNext(fleet, rows, row, this.#parts.accountSharePercent))
    places.set(key, found)
    return found
  }

  async #make(): Promise<Forecasts> {
    const snapshot = await this.#read()
    const { fleet, rows, perQueue } = snapshot
    const counts = new Map<string, number>()
    for (const row of rows) counts.set(queueKeyOf(row), (counts.get(queueKeyOf(row)) ?? 0) + 1)
    const cutQueues = new Set([...counts].flatMap(([key, count]) => (count >= perQueue ? [key] : [])))
    const simulated = await cutAtYields(simulate(fleet, rows, this.#parts.accountSharePercent))
    this.#parts.onForecasts?.(simulated.forecasts)
    const places = new Map(
      [...simulated.places].map(([key, place]) => [key, Promise.resolve(place)] as const),
    )
    return { snapshot, byVideo: simulated.forecasts, cutQueues, places }
  }

  async #read(): Promise<Snapshot> {
    const { db, catalogue } = this.#parts
    const readAtMs = performance.now()
    const fleet = await readFleet(db, this.#parts)
    return {
      readAtMs,
      fleet,
      ...(await readFirstOfQueues(db, everyCapability(catalogue, fleet), SIMULATED_MAX)),
    }
  }
}

/** What is expected of a video in this place, which may have to wait for its time or its price. */
function forecastWhenReady(
  { snapshot: { fleet } }: Forecasts,
  place: Place,
  video: PredictableVideo & { num_steps: number },
  wait: FlexWait,
): Forecast {
  const forecast = forecastAt(place, video, fleet.paces)
  const readyInMs = msUntilReady(fleet.flex, wait)
  if (readyInMs === 0) return forecast
  const costMs = place.start ? predictDeviceMs(fleet.paces, place.start.pool, video, video.num_steps) : 0
  return forecastLater(forecast.etaSeconds, { readyInMs, costMs })
}

function rowOfNew(video: NewVideo): HeadRow {
  return { ...video, id: '', checkpoint_step: null, passed_over_ms: null }
}

/** What any queued video may need, also of a model that left the catalogue and is still served. */
function everyCapability(catalogue: Catalogue, fleet: Pick<ReadFleet, 'pools'>): string[] {
  const known = capabilitiesOf(
    catalogue.models.map((model) => model.id),
    MODES,
  )
  return [...new Set([...known, ...fleet.pools.flatMap((pool) => pool.capabilities)])]
}

/** A forecast made when the video was in the other state (queued or running) is of no use. */
function isOfState(forecast: Forecast | undefined, video: Pick<Video, 'status'>): forecast is Forecast {
  return forecast !== undefined && (forecast.position === null) === (video.status !== 'queued')
}
