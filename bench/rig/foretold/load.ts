import type { ServiceTier } from '@sluice/shared/service-tier'
import { type SeededRandom, seededRandom } from '../../../test/chaos/seeded-random.ts'

/** A worker of the run: a pool of its own, with a pace of its own. */
export interface PacedWorker {
  pool: string
  stepMs: number
  slots: number
}

/** Their steps wait and compute nothing, so six slots fit on a small machine. */
export const WORKERS: readonly PacedWorker[] = [
  { pool: 'quick', stepMs: 40, slots: 2 },
  { pool: 'middling', stepMs: 60, slots: 2 },
  { pool: 'slow', stepMs: 100, slots: 2 },
]

/** One account has twice the weight, one a limit of its own. */
export const ACCOUNTS: readonly { weight: number; runningMax: number | null }[] = [
  { weight: 100, runningMax: null },
  { weight: 200, runningMax: null },
  { weight: 100, runningMax: 2 },
  { weight: 100, runningMax: null },
  { weight: 100, runningMax: null },
]

export interface Shape {
  size: string
  num_frames: number
  num_steps: number
}

export const SHAPES: readonly Shape[] = [
  { size: '256x256', num_frames: 5, num_steps: 30 },
  { size: '336x192', num_frames: 9, num_steps: 50 },
  { size: '192x336', num_frames: 5, num_steps: 80 },
  { size: '256x256', num_frames: 13, num_steps: 20 },
]

/** A video of the load: who asks for what, and when. */
export interface Asked {
  /** Since the first one could have come. */
  atMs: number
  account: number
  tier: ServiceTier
  /** One of SHAPES. */
  shape: Shape
}

/** How busy the workers are kept in the peaks and in the valleys, and for how long each lasts. */
const PEAK = { share: 1.35, ms: 25_000 }
const VALLEY = { share: 0.6, ms: 20_000 }

/** Submissions at random moments (a Poisson process whose rate has peaks and valleys), mixed in all ways. */
export function askedOf(seed: number, videos: number): Asked[] {
  const random = seededRandom(seed)
  const asked: Asked[] = []
  const perMsWhenFull = WORKERS.reduce((sum, worker) => sum + videosPerMs(worker), 0)
  for (let atMs = 0; asked.length < videos; ) {
    const isPeak = atMs % (PEAK.ms + VALLEY.ms) < PEAK.ms
    atMs += -Math.log(1 - random.fraction()) / (perMsWhenFull * (isPeak ? PEAK.share : VALLEY.share))
    asked.push({
      atMs,
      account: random.integer(0, ACCOUNTS.length - 1),
      tier: tierOf(random),
      shape: random.pick(SHAPES),
    })
  }
  return asked
}

function videosPerMs({ stepMs, slots }: PacedWorker): number {
  const steps = SHAPES.reduce((sum, shape) => sum + shape.num_steps, 0) / SHAPES.length
  return slots / (steps * stepMs)
}

function tierOf(random: SeededRandom): ServiceTier {
  if (random.chance(15)) return 'priority'
  return random.chance(75) ? 'standard' : 'flex'
}
