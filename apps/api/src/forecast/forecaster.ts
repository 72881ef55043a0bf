import { tierOf } from '@sluice/gate/choose'
import { slotsFreeInMs } from '@sluice/gate/fleet'
import type { GateRules } from '@sluice/gate/forecast/ahead'
import type { Forecast as Expected, ExpectedEnd } from '@sluice/gate/forecast/expected-end'
import { type FlexWait, forecastLater, msUntilReady } from '@sluice/gate/forecast/later'
import {
  type ForecastParts,
  forecastAt,
  type Place,
  type Queueing,
  simulate,
  simulateNext,
} from '@sluice/gate/forecast/simulate'
import { type HeadRow, queueKeyOf } from '@sluice/gate/head-row'
import { isPaceKnown, type PredictableVideo, predictDeviceMs, predictUploadMs } from '@sluice/gate/pace'
import { fitsPool } from '@sluice/gate/pool-fits'
import { msOfId } from '@sluice/shared/ids'
import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { ReadFleet } from '../gate/fleet.ts'
import { readLiving } from '../gate/queue-heads.ts'
import { cutAtYields, letOthers } from '../in-slices.ts'
import type { Video } from '../videos/video.ts'
import type { GivenEta } from './eta-sample.ts'
import { type CutQueue, cutQueuesOf, expectFarBehind, readTierQueues } from './far-behind.ts'
import { etaSecondsOf, type Forecast, later } from './forecast.ts'
import { HangGuard, HangsError } from './hang-guard.ts'
import { Newcomers } from './newcomers.ts'
import { OwnTime } from './own-time.ts'
import { PromisedVideos, type PromiseOutcome } from './promised-videos.ts'
import { Arrivals } from './recent-arrivals.ts'
import { type Purpose, SimulationTurns } from './simulation-turns.ts'
import { readSnapshot, SIMULATED_MAX, type Snapshot, type SnapshotParts } from './snapshot.ts'

/** No further future is simulated once those before have taken this long. */
const FUTURES_MS_MAX = 40
/**
 * Places that are found by a simulation of their own while the same forecasts are kept, so that a flood of
 * submissions of many keys costs no more than some times what these do; the next ones are taken to come as
 * those before them in their queues.
 */
const PLACES_MAX = 8
/** Of queues that nobody stands in more are found, as long as all together have not taken so long. */
const PLACES_MS_MAX = 500
/** Deadlines that are near are told apart by this. */
const DEADLINE_STEP_MS = 60_000
const KEPT_MS = 1_000
/** Nobody who asks later waits for a reading that takes longer: its connection may be dead. */
const SHARED_MS_MAX = 10_000
const KEPT = { keptMsMin: KEPT_MS, keptMsMax: KEPT_MS, sharedMsMax: SHARED_MS_MAX }
/**
 * Forecasts asked for by videos too new for the last ones are made early: after so long, or when that would
 * take more than a twentieth of the time, as the cache has it.
 */
const RENEWED_MS_MIN = 25

/** A video that is not queued yet. */
export type NewVideo = Omit<HeadRow, 'id' | 'checkpoint_step' | 'passed_over_ms'>

/** What of a queued video tells when it would come, once the place of its queue is known. */
type WaitingVideo = PredictableVideo &
  FlexWait &
  Pick<HeadRow, 'key_id' | 'service_tier' | 'num_steps' | 'expires_in_ms'> & { createdAtMs?: number }

interface Forecasts {
  snapshot: Snapshot
  byVideo: ReadonlyMap<string, Expected>
  /** Queues with more videos than were simulated, by key. */
  cutQueues: ReadonlyMap<string, CutQueue>
  /** The others that have any. */
  shownQueues: ReadonlyMap<string, CutQueue>
  /** Where the next video of a queue would come, by queue key. */
  places: Map<string, Promise<Place | null>>
  /** What finding them has taken. */
  spentMs: number
  /** For simulations of single videos. */
  ownTime: OwnTime
}

/** How a video's place is simulated, where that is not simply to be looked at behind all that is queued. */
interface Simulating {
  purpose?: Purpose
  queueing?: Queueing
  onTook?: (ms: number) => void
}

/** What a customer is told, and what that is made of. */
interface Shown {
  forecast: Forecast
  end: ExpectedEnd | null
  isMeasured: boolean
}

export interface ForecasterParts extends SnapshotParts {
  rules: GateRules
  /** Hears what the first answers of videos said. May not throw. */
  onGiven?: (given: GivenEta) => void
}

/**
 * Forecasts for queued and running videos, and for one that is only being quoted: the gate's own choice, run
 * ahead in time over a snapshot, with bounds by how the newest forecasts came true. Made when somebody asks,
 * and at most once a second for all who do.
 */
export class Forecaster {
  readonly #parts: ForecasterParts
  readonly #arrivals: Arrivals
  readonly #forecasts = new SnapshotCache<Forecasts>(KEPT)
  readonly #turns = new SimulationTurns()
  readonly #promised = new PromisedVideos({ videosMax: SIMULATED_MAX })
  /** A reading is tried again when nobody shares the one before it any more. */
  readonly #promiseGuard = new HangGuard({ limitMs: TIME_LIMITS.forecast.promiseMs, againMs: SHARED_MS_MAX })
  readonly #newcomers = new Newcomers()
  #ownTime = OwnTime.first()

  constructor(parts: ForecasterParts) {
    this.#parts = parts
    this.#arrivals = new Arrivals(parts.db)
  }

  /** A video's forecast; null when it has ended. */
  async of(video: Video): Promise<Forecast | null> {
    return (await this.#find(video))?.forecast ?? null
  }

  /** The forecast of a video with the first answer that names it; it is compared with what comes. */
  async ofFirst(video: Video): Promise<Forecast | null> {
    const found = await this.#find(video)
    if (found === null) return null
    const { end, isMeasured, forecast } = found
    if (end !== null && forecast.etaSeconds !== null) {
      const { p50, p90 } = forecast.etaSeconds
      this.#parts.onGiven?.({ videoId: video.id, end, isMeasured, p50Ms: p50 * 1_000, p90Ms: p90 * 1_000 })
    }
    return forecast
  }

  /** The forecast of a video, were it submitted now. */
  async ofNew(video: NewVideo): Promise<Forecast | null> {
    const forecasts = await this.#forecasts.get(() => this.#make())
    const expected = await this.#expectNew(forecasts, video, video).catch(unknownInTime)
    return expected === null ? null : this.#show(forecasts.snapshot, expected, video).forecast
  }

  async #find(video: Video): Promise<Shown | null> {
    if (video.ended_at !== null) return null
    const kept = await this.#forecasts.get(() => this.#make())
    // One that waits for its time or its price is in no snapshot.
    const isWaiting = video.status === 'queued' && video.waits_for !== null
    const isCut = video.status === 'queued' && kept.cutQueues.has(queueKeyOf(video))
    const isKnown = isOfState(kept.byVideo.get(video.id), video)
    const forecasts =
      isKnown || isCut || isWaiting ? kept : await this.#forecasts.get(() => this.#make(), RENEWED_MS_MIN)
    const expected = await this.#expect(forecasts, video).catch(unknownInTime)
    return expected === null ? null : this.#show(forecasts.snapshot, expected, video)
  }

  async #expect(forecasts: Forecasts, video: Video): Promise<Expected | null> {
    const expected = forecasts.byVideo.get(video.id)
    const isQueued = video.status === 'queued'
    if (expected !== undefined) {
      // It was dispatched after they were made, or just before they were.
      if (!isQueued) return { ...expected, position: null }
      return { ...expected, position: expected.position ?? 1 }
    }
    if (!isQueued) return this.#expectRunning(forecasts.snapshot, video)
    const waiting = waitingOf(video, forecasts.snapshot.fleet)
    // A burst of answers are those of new videos, and theirs is a queue that others have asked for.
    const isAlone =
      forecasts.snapshot.fleet.pools.length > 0 && forecasts.ownTime.take(ageMs(forecasts.snapshot))
    if (!isAlone && this.#isPlaceKnown(forecasts, waiting)) return this.#expectNew(forecasts, waiting, null)
    const found = await readLiving(this.#parts.db, video.id)
    if (found === null || found.status !== 'queued')
      return this.#expectRunning(forecasts.snapshot, { ...video, pool: found?.pool ?? null })
    const { status: _, pool: __, ...row } = found
    const steps = row.num_steps - (row.checkpoint_step ?? 0)
    const queued = { ...row, num_steps: steps, createdAtMs: video.created_at.getTime() }
    if (!isAlone || forecasts.cutQueues.has(queueKeyOf(queued)))
      return this.#expectNew(forecasts, queued, queued)
    return this.#expectAlone(forecasts, video, queued)
  }

  /** By a simulation of its own: of what the snapshot saw, what came since then, and then this. */
  async #expectAlone(
    forecasts: Forecasts,
    { id, created_at: createdAt }: Video,
    row: HeadRow & FlexWait,
  ): Promise<Expected> {
    const { snapshot } = forecasts
    const cameAtMs = performance.now() - Math.max(0, Date.now() - createdAt.getTime())
    this.#newcomers.note(row, cameAtMs)
    const since = this.#newcomers.since(snapshot, cameAtMs, id)
    const inMs = Math.max(0, cameAtMs - snapshot.atMs)
    const onTook = (ms: number) => forecasts.ownTime.took(ms)
    const place = await this.#simulateNext(snapshot, row, { queueing: { since, inMs }, onTook })
    forecasts.places.set(placeKeyOf(row, snapshot.fleet), Promise.resolve(place))
    return expectWhenReady(forecasts, place, row, row)
  }

  /** Of a video that no simulation has seen run: it was dispatched since, or is being uploaded. */
  #expectRunning({ fleet, atMs }: Snapshot, video: Video): Expected {
    const ofPool = fleet.pools.find((known) => known.pool === video.pool)
    const pool = ofPool ?? fleet.pools.find((other) => video.pool === null && fitsPool(other, video))
    const named = { pool: pool?.pool ?? video.pool ?? '', device: pool?.device ?? '' }
    const left = video.num_steps - video.step
    // It may have been given a slot that another one leaves in a moment.
    const slotMs = pool === undefined || video.step > 0 ? 0 : (slotsFreeInMs(fleet, pool)[0] ?? 0)
    const startMs = Math.max(slotMs, performance.now() - atMs)
    const freeMs = startMs + (left === 0 ? 0 : predictDeviceMs(fleet.paces, named, video, left))
    const storedMs = freeMs + predictUploadMs(fleet.paces, named, video)
    return { position: null, end: { pool: named.pool, startMs, freeMs, storedMs, lateMs: storedMs } }
  }

  /** `row`: what is simulated if no place of its queue is known yet; null = one is. */
  async #expectNew(
    forecasts: Forecasts,
    video: WaitingVideo,
    row: NewVideo | null,
  ): Promise<Expected | null> {
    const queueKey = queueKeyOf(video)
    const { fleet } = forecasts.snapshot
    const cut = forecasts.cutQueues.get(queueKey)
    if (cut !== undefined) {
      const readyInMs = msUntilReady(fleet.flex, video)
      const expected = farBehind(cut, fleet, video)
      return readyInMs === 0 ? expected : forecastLater(expected.end, { readyInMs, costMs: 0 })
    }
    const known = forecasts.places.get(placeKeyOf(video, fleet))
    const shown = forecasts.shownQueues.get(queueKey)
    if (known === undefined && shown !== undefined && forecasts.places.size >= PLACES_MAX)
      return farBehind(shown, fleet, video)
    const place = await (row === null ? known : this.#placeOf(forecasts, row))
    return place == null ? null : expectWhenReady(forecasts, place, video, video)
  }

  /** Whether `expectNew` needs no row to simulate. */
  #isPlaceKnown({ snapshot, cutQueues, shownQueues, places }: Forecasts, video: WaitingVideo): boolean {
    const queueKey = queueKeyOf(video)
    if (cutQueues.has(queueKey) || places.has(placeKeyOf(video, snapshot.fleet))) return true
    return shownQueues.has(queueKey) && places.size >= PLACES_MAX
  }

  /**
   * As `ofNew`, of each of these were it alone submitted, and among all videos that were promised a time here
   * until now: of a burst of promises each counts for those after it. All are made of one snapshot. Throws
   * HangsError when they do not come soon: who waits for a promise keeps others waiting. What is waited for
   * behind other accounts says nothing about the next one, so only the reading counts as hanging.
   */
  async ofPromised(videos: readonly NewVideo[], purpose: Purpose): Promise<(Forecast | null)[]> {
    const forecasts = await this.#promiseGuard.run(() =>
      this.#forecasts.get(() => this.#make(), RENEWED_MS_MIN),
    )
    return Promise.all(videos.map((video) => this.#expectPromised(forecasts, video, purpose)))
  }

  async #expectPromised(forecasts: Forecasts, video: NewVideo, purpose: Purpose): Promise<Forecast | null> {
    const { fleet, rows } = forecasts.snapshot
    if (forecasts.cutQueues.has(queueKeyOf(video))) return null
    const unseen = this.#unseenBy(forecasts.snapshot)
    // Who makes a promise has others waiting, so it waits for no look, not even its account's own.
    const known = purpose === 'look' && unseen.length === 0 ? await this.#placeOf(forecasts, video) : null
    const place =
      known ??
      (await this.#simulateNext({ ...forecasts.snapshot, rows: [...rows, ...unseen] }, video, { purpose }))
    const expected = forecastAt(place, video, fleet.paces, ageMs(forecasts.snapshot))
    return this.#show(forecasts.snapshot, expected, video).forecast
  }

  /**
   * A video is promised a time, and is about to be queued. Returns false when so many were promised one of
   * late that this promise would not count for those after it: it must not be given.
   */
  notePromised(videoId: string, video: NewVideo): boolean {
    return this.#promised.add({ ...rowOfNew(video), id: videoId }, performance.now())
  }

  /**
   * The submission of a video that was promised a time has ended: until then the promise counts, and if the
   * video is queued, until it is seen. Of any other video it does nothing.
   */
  endPromising(videoId: string, outcome: PromiseOutcome): void {
    this.#promised.end(videoId, outcome, performance.now())
  }

  /** Videos that were promised a time, and may have been queued after the snapshot was read. */
  #unseenBy({ readAtMs, rows, fleet }: Snapshot): HeadRow[] {
    const unseen = this.#promised.unseenSince(readAtMs)
    if (unseen.length === 0) return []
    const seen = new Set([...rows.map(({ id }) => id), ...fleet.inFlight.map(({ videoId }) => videoId)])
    return unseen.flatMap((row) => (seen.has(row.id) ? [] : row))
  }

  #show(
    { fleet, atMs, bounds }: Snapshot,
    { position, end }: Expected,
    video: PredictableVideo & Pick<HeadRow, 'service_tier'>,
  ): Shown {
    if (end === null) return { forecast: { position, etaSeconds: null }, end, isMeasured: false }
    const now = later(end, performance.now() - atMs)
    const device = fleet.pools.find(({ pool }) => pool === end.pool)?.device ?? ''
    const isMeasured = isPaceKnown(fleet.paces, { pool: end.pool, device }, video)
    const etaSeconds = etaSecondsOf(now, { tier: video.service_tier, isMeasured }, bounds)
    return { forecast: { position, etaSeconds }, end: now, isMeasured }
  }

  /** What no simulation has found yet is found out once, for all who ask for a video of this queue. */
  #placeOf(forecasts: Forecasts, video: NewVideo): Promise<Place | null> {
    const { snapshot, places } = forecasts
    const key = placeKeyOf(video, snapshot.fleet)
    const known = places.get(key)
    if (known !== undefined) return known
    if (places.size >= PLACES_MAX && forecasts.spentMs >= PLACES_MS_MAX) return Promise.resolve(null)
    const onTook = (ms: number) => {
      forecasts.spentMs += ms
    }
    const found = this.#simulateNext(snapshot, video, { onTook })
    places.set(key, found)
    return found
  }

  /**
   * One at a time, however many ask: each lets others be served between its parts, but not between all.
   * Throws HangsError when its turn does not come soon.
   */
  #simulateNext(
    snapshot: Snapshot,
    video: NewVideo,
    { purpose = 'look', queueing, onTook }: Simulating = {},
  ): Promise<Place> {
    return this.#turns.run(purpose, video.account_id, async () => {
      const startedMs = performance.now()
      const place = await cutAtYields(simulateNext(this.#partsOf(snapshot), rowOfNew(video), queueing))
      onTook?.(performance.now() - startedMs)
      return place
    })
  }

  #partsOf({ fleet, rows, running, recent, atMs }: Snapshot): ForecastParts {
    const endsMs = performance.now() + FUTURES_MS_MAX
    const isTimeLeft = () => performance.now() < endsMs
    const { rules } = this.#parts
    return { fleet, queued: rows, running, rules, recent, seed: Math.round(atMs), isTimeLeft }
  }

  async #make(): Promise<Forecasts> {
    const snapshot = await readSnapshot(this.#parts, this.#arrivals)
    const { rows, perQueue } = snapshot
    await letOthers()
    const byQueue = Map.groupBy(rows, queueKeyOf)
    const byVideo = await cutAtYields(simulate(this.#partsOf(snapshot)))
    const isCut = (queueKey: string) => (byQueue.get(queueKey)?.length ?? 0) >= perQueue
    const keyIds = new Set(
      [...byQueue].flatMap(([queueKey, [row]]) => (row && isCut(queueKey) ? row.key_id : [])),
    )
    const tierQueues = keyIds.size === 0 ? [] : await readTierQueues(this.#parts.db, [...keyIds])
    const known = { tierQueues, forecasts: byVideo, createdAtMs: msOfId }
    await letOthers()
    const cutQueues = cutQueuesOf(byQueue, isCut, known)
    await letOthers()
    const shownQueues = cutQueuesOf(byQueue, (queueKey) => !isCut(queueKey), { ...known, tierQueues: [] })
    const ownTime = this.#ownTime.next()
    this.#ownTime = ownTime
    return { snapshot, byVideo, cutQueues, shownQueues, places: new Map(), spentMs: 0, ownTime }
  }
}

/** Nothing is expected of a video whose simulation did not come to its turn. */
function unknownInTime(error: unknown): null {
  if (error instanceof HangsError) return null
  throw error
}

function ageMs({ atMs }: Snapshot): number {
  return performance.now() - atMs
}

/** What is expected of a video in this place, which may have to wait for its time or its price. */
function expectWhenReady(
  { snapshot }: Forecasts,
  place: Place,
  video: PredictableVideo & { num_steps: number },
  wait: FlexWait,
): Expected {
  const { fleet } = snapshot
  const expected = forecastAt(place, video, fleet.paces, ageMs(snapshot))
  const readyInMs = msUntilReady(fleet.flex, wait)
  if (readyInMs === 0) return expected
  const [start] = place.starts
  const costMs = start ? predictDeviceMs(fleet.paces, start.pool, video, video.num_steps) : 0
  return forecastLater(expected.end, { readyInMs, costMs })
}

function farBehind(
  cut: CutQueue,
  { pools, paces }: ReadFleet,
  video: PredictableVideo & { num_steps: number; createdAtMs?: number },
): Expected {
  return expectFarBehind(cut, {
    createdAtMs: video.createdAtMs ?? null,
    nowMs: Date.now(),
    takesMs: ({ pool: name }) => {
      const pool = pools.find(({ pool }) => pool === name) ?? { pool: name, device: '' }
      return {
        deviceMs: predictDeviceMs(paces, pool, video, video.num_steps),
        uploadMs: predictUploadMs(paces, pool, video),
      }
    },
  })
}

/** Names the place that a video would have: that of its queue, unless its deadline is near. */
function placeKeyOf(video: WaitingVideo, { pools, paces }: ReadFleet): string {
  const { service_tier: tier, expires_in_ms: expiresInMs, num_steps: steps } = video
  const queueKey = queueKeyOf(video)
  // Unlike the others of its queue, which depends on its deadline and its cost.
  const isUrgent = pools.some(
    (pool) => tierOf({ tier, costMs: predictDeviceMs(paces, pool, video, steps), expiresInMs }) !== tier,
  )
  return isUrgent ? `${queueKey} ${Math.round(expiresInMs / DEADLINE_STEP_MS)} ${steps}` : queueKey
}

function flexWaitOf(video: Video, nowMs: number): FlexWait {
  const hasMaximum = video.max_price_micros !== null && video.fence === 0
  return {
    multiplier_bps_max: hasMaximum ? video.multiplier_bps : null,
    not_before_in_ms: Math.max(0, (video.not_before?.getTime() ?? 0) - nowMs),
  }
}

/** A queued video, without asking the database for what its account and key may do. */
function waitingOf(video: Video, { flex }: ReadFleet): WaitingVideo {
  return {
    key_id: video.key_id,
    service_tier: video.service_tier,
    capability: video.capability,
    resolution: video.resolution,
    width: video.width,
    height: video.height,
    num_frames: video.num_frames,
    num_steps: video.num_steps - (video.checkpoint_step ?? 0),
    video_tokens: video.video_tokens,
    expires_in_ms: video.execution_expires_at.getTime() - flex.atMs,
    ...flexWaitOf(video, flex.atMs),
    createdAtMs: video.created_at.getTime(),
  }
}

function rowOfNew(video: NewVideo): HeadRow {
  return { ...video, id: '', checkpoint_step: null, passed_over_ms: null }
}

/** A forecast made when the video was in the other state (queued or running) is of no use. */
function isOfState(forecast: Expected | undefined, video: Pick<Video, 'status'>): boolean {
  return forecast !== undefined && (forecast.position === null) === (video.status !== 'queued')
}
