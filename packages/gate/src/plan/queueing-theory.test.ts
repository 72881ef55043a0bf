import { seededRandom } from '@sluice/shared/seeded-random'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { expect, test } from 'vitest'
import type { Demand, DemandedVideo, DemandOutcome, VideoKind } from './demand.ts'
import { simulateDemand } from './simulate-demand.ts'

/*
 * Where theory knows the answer, the simulation gives it: waits in queues whose mean is known exactly,
 * against the mean of many simulated videos of a fixed seed. That mean is off by chance by 2 % of it or so,
 * the more the higher the load.
 */

const VIDEOS = 60_000
const SERVICE_MS = 10_000

const CLIP: VideoKind = {
  name: 'clip',
  model: 'animatic',
  steps: 1,
  tokens: 1,
  paces: { a: { stepMs: SERVICE_MS, overheadMs: 0 } },
}

interface Stream {
  /** Of the time of one slot. */
  load: number
  tier?: ServiceTier
  slowness?: (random: () => number) => number
}

const exponential = (random: () => number) => -Math.log(1 - random())

/** Videos that come independently of each other, at a steady rate. */
function* poisson({ load, tier = 'standard', slowness }: Stream, seed: number): Generator<DemandedVideo> {
  const random = seededRandom(seed)
  let atMs = 0
  for (let number = 0; number < VIDEOS; number += 1) {
    atMs += (exponential(random) * SERVICE_MS) / load
    const slow = slowness?.(random)
    const video: DemandedVideo = { atMs, accountId: 'account_1', tier, kind: CLIP }
    yield slow === undefined ? video : { ...video, slowness: slow }
  }
}

function simulated(slots: number, videos: Iterable<DemandedVideo>, fields: Partial<Demand> = {}) {
  return simulateDemand({
    pools: [{ pool: 'a', slots }],
    kinds: [CLIP],
    videos,
    horizonMs: Number.POSITIVE_INFINITY,
    ...fields,
  })
}

function meanWaitMs({ tiers }: DemandOutcome, tier: ServiceTier = 'standard'): number {
  const { waitsMs } = tiers[tier]
  return waitsMs.reduce((sum, ms) => sum + ms, 0) / waitsMs.length
}

/** The chance that a video waits for one of `slots`, at a load in slots (Erlang C). */
function erlangC(slots: number, load: number): number {
  let term = 1
  let sum = 1
  for (let busy = 1; busy < slots; busy += 1) {
    term *= load / busy
    sum += term
  }
  const all = ((term * load) / slots) * (slots / (slots - load))
  return all / (sum + all)
}

function expectWithin(found: number, share: number, value: number): void {
  expect(found).toBeGreaterThan(value * (1 - share))
  expect(found).toBeLessThan(value * (1 + share))
}

test('on one slot, videos that take the same time wait as M/D/1 says', () => {
  for (const load of [0.5, 0.8]) {
    const outcome = simulated(1, poisson({ load }, 1))
    expectWithin(meanWaitMs(outcome), 0.06, (load * SERVICE_MS) / (2 * (1 - load)))
    const { busyMs, availableMs } = outcome.pools.get('a') ?? { busyMs: 0, availableMs: 1 }
    expectWithin(busyMs / availableMs, 0.01, load)
  }
})

test('on several slots, videos of exponential time wait as M/M/c and Erlang C say', () => {
  for (const [slots, load] of [
    [1, 0.6],
    [8, 6],
  ] as const) {
    const outcome = simulated(slots, poisson({ load, slowness: exponential }, 2))
    const waits = erlangC(slots, load)
    expectWithin(meanWaitMs(outcome), 0.06, (waits * SERVICE_MS) / (slots - load))
    const { waitsMs } = outcome.tiers.standard
    expectWithin(waitsMs.filter((ms) => ms > 0).length / waitsMs.length, 0.03, waits)
  }
})

test('higher tiers wait less, by as much as a queue with priorities that interrupts nobody', () => {
  const loads = { priority: 0.3, standard: 0.4 }
  const videos = [
    ...poisson({ load: loads.priority, tier: 'priority', slowness: exponential }, 3),
    ...poisson({ load: loads.standard, tier: 'standard', slowness: exponential }, 4),
  ].sort((a, b) => a.atMs - b.atMs)
  const endMs = Math.min(VIDEOS / loads.priority, VIDEOS / loads.standard) * SERVICE_MS
  // Decided when a slot is free: two seconds before, a higher one may not be there yet.
  const outcome = simulated(1, videos, { horizonMs: endMs, settings: { nearlyFreeMs: 0 } })
  // What is left of the video on the slot, on average: half the square of its time, by the rate (Cobham).
  const leftMs = (loads.priority + loads.standard) * SERVICE_MS
  const above = 1 - loads.priority
  expectWithin(meanWaitMs(outcome, 'priority'), 0.05, leftMs / above)
  expectWithin(meanWaitMs(outcome, 'standard'), 0.05, leftMs / (above * (above - loads.standard)))
})

test('what two accounts get of the slots while both wait is as their weights are', () => {
  const backlog = Array.from({ length: 4_000 }, (_, number): DemandedVideo => {
    const accountId = number % 2 === 0 ? 'light' : 'heavy'
    return { atMs: 0, accountId, tier: 'standard', kind: CLIP }
  })
  const { accounts } = simulated(4, backlog, {
    accounts: [
      { id: 'light', weight: 100 },
      { id: 'heavy', weight: 300 },
    ],
    settings: { accountSharePercent: 100 },
    horizonMs: 500 * SERVICE_MS,
  })
  expectWithin((accounts.get('heavy')?.deviceMs ?? 0) / (accounts.get('light')?.deviceMs ?? 1), 0.01, 3)
})
