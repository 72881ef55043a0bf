import { seededRandom } from '@sluice/shared/seeded-random'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Fleet, Pool } from '../fleet.ts'
import type { HeadRow } from '../head-row.ts'
import { type Paces, type PredictableVideo, predictDeviceMs, predictUploadMs } from '../pace.ts'
import { Ahead, type GateRules, openPoolsOf } from './ahead.ts'
import { type Arrival, futureOf, LAST_ID, type RecentArrivals } from './arrivals.ts'
import { type ExpectedEnd, type Forecast, middleOf } from './expected-end.ts'

/** What a forecast is made of. */
export interface ForecastParts {
  fleet: Fleet
  queued: readonly HeadRow[]
  /** Flex videos that are on a device, by id; one that is left out makes no room. */
  running: ReadonlyMap<string, HeadRow>
  rules: GateRules
  /** What those that come later are like; none = nobody comes. */
  recent: RecentArrivals
  /** The same seed draws the same futures. */
  seed: number
  /** Asked after each future whether there is time for another. */
  isTimeLeft: () => boolean
}

/** One of seven is later than six: about as late as one of ten. More are not worth their time. */
const FUTURES = 7

/**
 * Runs the gate ahead in time: every queued video gets the slot that the gate would give it, by the rules of
 * the gate, in each of some futures in which others come later. What comes out in the middle of them is
 * expected. It may be cut where it yields. Pure, but for `isTimeLeft`.
 */
export function* simulate(parts: ForecastParts): Generator<undefined, ReadonlyMap<string, Forecast>> {
  const futures: ReadonlyMap<string, Forecast>[] = []
  yield* inFutures(parts, { arrived: [], untilEnded: null }, ({ forecasts }) => futures.push(forecasts))
  const [first, ...others] = futures
  if (first === undefined || others.length === 0) return first ?? new Map()
  yield
  return new Map(
    [...first].map(([id, { position, end }]) => {
      const ends = others.map((forecasts) => forecasts.get(id)?.end ?? null)
      return [id, { position, end: middleOf([end, ...ends]) }]
    }),
  )
}

/** Where the next video of a queue would come. */
export interface Place {
  position: number
  /** The tier it would be served in. */
  tier: ServiceTier
  /** When its slot is ready for it and where that is, in each future; empty while no pool could run it. */
  starts: readonly PlaceStart[]
}

interface PlaceStart {
  atMs: number
  pool: Pool
  /** Between its beginning and its end, what does not pass on a device. */
  lostMs: number
}

/** How this video is queued. */
export interface Queueing {
  /** What came between the snapshot and it, in that order. */
  since: readonly Arrival[]
  /** When it is, from the snapshot on. */
  inMs: number
}

/**
 * Where this video would come, were it queued behind all others: with them, or later. It may be cut where it
 * yields.
 */
export function* simulateNext(
  parts: ForecastParts,
  video: HeadRow,
  { since, inMs }: Queueing = { since: [], inMs: 0 },
): Generator<undefined, Place> {
  const last = { ...video, id: LAST_ID, expires_in_ms: video.expires_in_ms + inMs }
  const isLater = inMs > 0
  const queued = isLater ? parts.queued : [...parts.queued, ...since.map(({ row }) => row), last]
  const arrived = isLater ? [...since, { inMs, row: last }] : []
  const futures: Ahead[] = []
  const onEnd = (ahead: Ahead) => futures.push(ahead)
  yield* inFutures({ ...parts, queued }, { arrived, untilEnded: LAST_ID }, onEnd)
  const [first] = futures
  const { fleet } = parts
  return {
    position: first?.forecasts.get(LAST_ID)?.position ?? queued.length + arrived.length,
    tier: first?.tiers.get(LAST_ID) ?? video.service_tier,
    starts: futures.flatMap((ahead) => startIn(ahead, fleet, video)),
  }
}

function startIn({ forecasts }: Ahead, { pools, paces }: Fleet, video: HeadRow): PlaceStart[] {
  const end = forecasts.get(LAST_ID)?.end ?? null
  const pool = pools.find(({ pool: name }) => name === end?.pool)
  if (end === null || pool === undefined) return []
  const deviceMs = predictDeviceMs(paces, pool, video, video.num_steps - (video.checkpoint_step ?? 0))
  return [{ atMs: end.startMs, pool, lostMs: Math.max(0, end.freeMs - end.startMs - deviceMs) }]
}

/** What a new video may expect in this place, which it takes `notBeforeMs` after the snapshot or later. */
export function forecastAt(
  { position, starts }: Place,
  video: PredictableVideo & { num_steps: number },
  paces: Paces,
  notBeforeMs = 0,
): Forecast {
  const ends = starts.map(({ atMs, pool, lostMs }): ExpectedEnd => {
    const startMs = Math.max(atMs, notBeforeMs)
    const freeMs = startMs + predictDeviceMs(paces, pool, video, video.num_steps) + lostMs
    const storedMs = freeMs + predictUploadMs(paces, pool, video)
    return { pool: pool.pool, startMs, freeMs, storedMs, lateMs: storedMs }
  })
  return { position, end: ends.length === 0 ? null : middleOf(ends) }
}

function* inFutures(
  { fleet, queued, running, rules, recent, seed, isTimeLeft }: ForecastParts,
  { arrived, untilEnded }: { arrived: readonly Arrival[]; untilEnded: string | null },
  onEnd: (ahead: Ahead) => void,
): Generator<undefined, void> {
  // Where nobody comes all futures are the same.
  const count = recent.rows.length === 0 ? 1 : FUTURES
  const random = seededRandom(seed)
  const open = openPoolsOf(fleet)
  yield
  for (let number = 0; number < count; number += 1) {
    const arrivals = oneAfterAnother(arrived, recent, random)
    const fromMs = arrived.at(-1)?.inMs ?? 0
    const ahead = new Ahead({ fleet, open, queued, running, rules, arrivals, untilEnded, fromMs })
    yield
    yield* ahead.run()
    onEnd(ahead)
    if (!isTimeLeft()) return
  }
}

function* oneAfterAnother(
  arrived: readonly Arrival[],
  recent: RecentArrivals,
  random: () => number,
): Generator<Arrival, undefined> {
  yield* arrived
  yield* futureOf(recent, random, arrived.at(-1)?.inMs ?? 0)
}
