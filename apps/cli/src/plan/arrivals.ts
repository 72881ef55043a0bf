import type { DemandedVideo, VideoKind } from '@sluice/gate/plan/demand'
import { seededRandom } from '@sluice/shared/seeded-random'
import type { Plan, PlannedVideo } from './plan.ts'

const HOUR_MS = 3_600_000
const DAY_HOURS = 24
/** So many videos that one in a hundred says something. */
const VIDEOS_WANTED = 20_000
const DAYS_MAX = 28

/** When videos come, and what each asks for: the same each time it is asked. */
export interface Arrivals {
  /** How long they come, in whole hours. */
  spanMs: number
  /** Of the day, that the first hour is. */
  firstHour: number
  videos(): Iterable<DemandedVideo>
}

/** The kinds of videos of a plan, and the kind of each entry of its mix. */
export interface Kinds {
  all: readonly VideoKind[]
  ofMix: readonly VideoKind[]
}

/**
 * The submissions of a trace; or of some days, at random times by the hour's demand and of a kind by the mix.
 * The more videos a day has, the fewer days; `days` says how many instead.
 */
export function arrivalsOf(
  plan: Pick<Plan, 'demand' | 'mix' | 'expiresMs'>,
  kinds: Kinds,
  { seed, days }: { seed: number; days?: number | undefined },
): Arrivals {
  const { demand, mix, expiresMs } = plan
  const video = (atMs: number, index: number): DemandedVideo => {
    const { account, tier } = mix[index] as PlannedVideo
    const kind = kinds.ofMix[index] as VideoKind
    return { atMs, accountId: account, tier, kind, expiresAfterMs: expiresMs[tier] }
  }
  if (demand.kind === 'trace') {
    const { atMs, mixIndex } = demand
    const spanMs = Math.max(1, Math.ceil(((atMs.at(-1) ?? 0) + 1) / HOUR_MS)) * HOUR_MS
    return {
      spanMs,
      firstHour: 0,
      *videos() {
        for (let number = 0; number < atMs.length; number += 1)
          yield video(atMs[number] as number, mixIndex[number] as number)
      },
    }
  }
  const { videosPerHour } = demand
  const aDay = videosPerHour.reduce((sum, videos) => sum + videos, 0)
  const simulatedDays = days ?? Math.min(DAYS_MAX, Math.max(1, Math.ceil(VIDEOS_WANTED / aDay)))
  const firstHour = quietEnd(videosPerHour)
  return {
    spanMs: simulatedDays * DAY_HOURS * HOUR_MS,
    firstHour,
    *videos() {
      const random = seededRandom(seed)
      const pick = pickerOf(mix.map(({ share }) => share))
      for (let hour = 0; hour < simulatedDays * DAY_HOURS; hour += 1) {
        const perHour = videosPerHour[(hour + firstHour) % DAY_HOURS] ?? 0
        for (const atMs of timesInHour(hour, perHour, random)) yield video(atMs, pick(random()))
      }
    },
  }
}

/**
 * The hour at which what was asked for until then lies furthest below the mean. Pools that can make a day's
 * demand in a day have nothing left over at that hour, so a simulation may begin there with nothing.
 */
export function quietEnd(videosPerHour: readonly number[]): number {
  const mean = videosPerHour.reduce((sum, videos) => sum + videos, 0) / videosPerHour.length
  let [sum, lowest, at] = [0, 0, 0]
  for (const [hour, videos] of videosPerHour.entries()) {
    sum += videos - mean
    if (sum >= lowest - 1e-9) continue
    lowest = sum
    at = (hour + 1) % videosPerHour.length
  }
  return at
}

function* timesInHour(hour: number, perHour: number, random: () => number): Generator<number> {
  if (perHour === 0) return
  const endMs = (hour + 1) * HOUR_MS
  const meanMs = HOUR_MS / perHour
  // The time between two submissions that know nothing of each other is exponential.
  const gapMs = () => -Math.log(1 - random()) * meanMs
  for (let atMs = hour * HOUR_MS + gapMs(); atMs < endMs; atMs += gapMs()) yield atMs
}

/** Picks an index by its share, for a number from 0 to 1. */
function pickerOf(shares: readonly number[]): (random: number) => number {
  let sum = 0
  const ends = shares.map((share) => {
    sum += share
    return sum
  })
  return (random) => {
    const wanted = random * sum
    let [low, high] = [0, ends.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((ends[middle] ?? 0) > wanted) high = middle
      else low = middle + 1
    }
    return low
  }
}
