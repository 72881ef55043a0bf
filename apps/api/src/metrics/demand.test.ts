import { pacesOf } from '@sluice/gate/pace'
import { FIRST_MODELS } from '@sluice/shared/models/built-in-models'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { describe, expect, it } from 'vitest'
import { demandOf, type KnownPool, type Work } from './demand.ts'

const CAPABILITY = 'open-sora-2'
const SHAPE = { capability: CAPABILITY, width: 336, height: 192, num_frames: 5 }
const catalogue = new Catalogue()

const pool = (name: string, more: Partial<KnownPool> = {}): KnownPool => ({
  pool: name,
  device: 'h100',
  devicesPerSlot: 1,
  slotsPerWorker: 4,
  capabilities: [CAPABILITY],
  sequenceDevices: 1,
  framesMax: 129,
  pixelsMax: 589_824,
  costPerHourMicros: null,
  ...more,
})
const work = (more: Partial<Work> = {}): Work => ({
  ...SHAPE,
  pool: null,
  is_flex: false,
  resolution: '256px',
  video_tokens: 504n,
  videos: 1,
  steps: 50,
  ...more,
})
/** A second a step, and two seconds a video. */
const paceOf = (name: string, stepMs = 1_000) => ({
  ...SHAPE,
  pool: name,
  step_ms: stepMs,
  overhead_ms: 2_000,
  upload_ms: 500,
})
const demand = (pools: KnownPool[], works: Work[], paces = [paceOf('a'), paceOf('b')]) =>
  demandOf(pools, works, { paces: pacesOf(paces, catalogue), wantedMs: 300_000 })

describe('the demand of a pool', () => {
  it('is the time its queued videos will take, times the GPUs of a slot', () => {
    const queued = work({ videos: 10, steps: 500 })
    expect(demand([pool('a')], [queued])).toEqual([{ pool: 'a', queuedGpuSeconds: 520, workersWanted: 1 }])
    const [onEight] = demand([pool('a', { devicesPerSlot: 8 })], [queued])
    expect(onEight?.queuedGpuSeconds).toBe(8 * 520)
  })

  it('wants the workers that would be done in time, and no more than there are videos for', () => {
    const wanted = (works: Work[]) => demand([pool('a')], works)[0]?.workersWanted
    expect(wanted([])).toBe(0)
    expect(wanted([work()])).toBe(1)
    // 5,200 s in 300 s, on four slots each.
    expect(wanted([work({ videos: 100, steps: 5_000 })])).toBe(5)
    // Two videos of an hour fit on one worker's slots.
    expect(wanted([work({ videos: 2, steps: 7_200 })])).toBe(1)
    // What runs is no demand in GPU seconds, but keeps its workers.
    const running = work({ pool: 'a', videos: 8, steps: 7_200 })
    expect(demand([pool('a')], [running])).toEqual([{ pool: 'a', queuedGpuSeconds: 0, workersWanted: 2 }])
  })

  it('counts a video once: where it takes the least GPU time of those that can make it', () => {
    const faster = demand([pool('a'), pool('b')], [work()], [paceOf('a'), paceOf('b', 500)])
    expect(faster.map(({ queuedGpuSeconds }) => queuedGpuSeconds)).toEqual([0, 27])
    const small = demand([pool('a'), pool('b', { framesMax: 4 })], [work()], [paceOf('a'), paceOf('b', 500)])
    expect(small.map(({ queuedGpuSeconds }) => queuedGpuSeconds)).toEqual([52, 0])
  })

  it('counts a flex video where it costs least, as far as all pools say what they cost, as the gate sends it', () => {
    const pools = (costs: (number | null)[]) =>
      ['a', 'b'].map((name, at) => pool(name, { costPerHourMicros: costs[at] ?? null }))
    const paces = [paceOf('a'), paceOf('b', 500)]
    const secondsOf = (costs: (number | null)[], is_flex = true) =>
      demand(pools(costs), [work({ is_flex })], paces).map(({ queuedGpuSeconds }) => queuedGpuSeconds)
    expect(secondsOf([1_000_000, 4_000_000])).toEqual([52, 0])
    expect(secondsOf([3_000_000, 4_000_000])).toEqual([0, 27])
    expect(secondsOf([1_000_000, null])).toEqual([0, 27])
    expect(secondsOf([1_000_000, 4_000_000], false)).toEqual([0, 27])
  })

  it('goes to the pool of its model before that had a worker, else to nobody', () => {
    expect(demand([pool('a')], [work({ capability: 'gone' })]).map((each) => each.pool)).toEqual(['a', ''])
    const own = FIRST_MODELS.map((model) => ({ ...model, pool: 'own' }))
    const paces = pacesOf([], new Catalogue(own))
    const [of] = demandOf([], [work()], { paces, wantedMs: 300_000 })
    expect(of).toMatchObject({ pool: 'own', workersWanted: 1 })
  })
})
