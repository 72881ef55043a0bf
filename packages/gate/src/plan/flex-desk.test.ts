import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FlexSchedule } from '../flex/flex-price.ts'
import type { Demand, DemandedVideo, EndedVideo, VideoKind } from './demand.ts'
import { simulateDemand } from './simulate-demand.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** Ten minutes each. */
const CLIP: VideoKind = {
  name: 'clip',
  model: 'animatic',
  steps: 10,
  tokens: 5_040,
  paces: { a: { stepMs: MINUTE_MS, overheadMs: 0 } },
}
const LONG: VideoKind = { ...CLIP, name: 'long', steps: 120 }
const NIGHTS: FlexSchedule = {
  by: 'hour',
  steps: [
    { from: 0, multiplierBps: 2_000 },
    { from: 7, multiplierBps: 6_000 },
  ],
}
const DEMAND: FlexSchedule = {
  by: 'utilisation',
  steps: [
    { from: 0, multiplierBps: 3_000 },
    { from: 40, multiplierBps: 8_000 },
  ],
}

const flex = (hours: number, fields: Partial<DemandedVideo> = {}): DemandedVideo => ({
  ...{ atMs: hours * HOUR_MS, accountId: 'account', tier: 'flex', kind: CLIP },
  ...fields,
})

/** What became of each video, by its number. */
function endsOf(videos: DemandedVideo[], schedule: FlexSchedule, slots = 1): EndedVideo[] {
  const ends: EndedVideo[] = []
  const demand: Demand = {
    ...{ pools: [{ pool: 'a', slots }], kinds: [CLIP, LONG], videos, flex: { schedule } },
    ...{ horizonMs: Number.POSITIVE_INFINITY, onEnded: (ended: EndedVideo) => ends.push(ended) },
    settings: { nearlyFreeMs: 0 },
  }
  simulateDemand(demand)
  return ends.toSorted((a, b) => a.number - b.number)
}
const startsOf = (ends: readonly EndedVideo[]) =>
  ends.map(({ startedAtMs, multiplierBps }) => [(startedAtMs ?? Number.NaN) / HOUR_MS, multiplierBps])

test('a flex video goes at the first hour whose price is within its maximum, and pays that; one without a maximum goes at once', () => {
  const ends = endsOf(
    [flex(12, { maxMultiplierBps: 2_000 }), flex(12), flex(13, { tier: 'standard' })],
    NIGHTS,
  )
  expect(startsOf(ends)).toEqual([
    [24, 2_000],
    [12, 6_000],
    [13, null],
  ])
})

test('a flex video is not dispatched before its time, and is at the price of then', () => {
  const ends = endsOf([flex(1, { notBeforeMs: 8 * HOUR_MS }), flex(1, { notBeforeMs: HOUR_MS / 2 })], NIGHTS)
  expect(startsOf(ends)).toEqual([
    [8, 6_000],
    [1, 2_000],
  ])
})

test('one that is queued waits again when the price rises above its maximum, and those behind it in its line go', () => {
  const busy = flex(6.9, { tier: 'standard' })
  const ends = endsOf([busy, flex(6.95, { maxMultiplierBps: 5_999 }), flex(6.96)], NIGHTS)
  const overAt = 6.9 + 1 / 6
  expect(ends[2]?.startedAtMs).toBeCloseTo(overAt * HOUR_MS)
  expect(startsOf(ends)[1]).toEqual([24, 2_000])
})

test('one that waits expires in time, and what waits for ever does not keep the simulation going', () => {
  const [expired, stuck] = endsOf(
    [flex(12, { maxMultiplierBps: 2_000, expiresAfterMs: HOUR_MS }), flex(12, { maxMultiplierBps: 1_999 })],
    NIGHTS,
  )
  expect(expired).toMatchObject({ outcome: 'expired', endedAtMs: 13 * HOUR_MS, multiplierBps: null })
  expect(stuck).toMatchObject({ outcome: 'queued', startedAtMs: null })
})

test('by utilisation the price is that of what the tiers above flex have, smoothed', () => {
  // Of two slots one is taken for two hours.
  const busy = flex(0, { tier: 'standard', kind: LONG })
  const ends = endsOf([busy, flex(1, { maxMultiplierBps: 3_000 }), flex(1.1)], DEMAND, 2)
  const [waited, paid] = ends.slice(-2)
  expect(paid).toMatchObject({ startedAtMs: 1.1 * HOUR_MS, multiplierBps: 8_000 })
  // A half goes below 40 % in a quarter of an hour times ln(1.25).
  const afterMs = (waited?.startedAtMs ?? 0) - 2 * HOUR_MS
  expect(Math.abs(afterMs - 900_000 * Math.log(1.25))).toBeLessThan(20_000)
})

const videos = fc
  .array(
    fc.record({
      atMs: fc.nat(30 * HOUR_MS),
      tier: fc.constantFrom('flex' as const, 'standard' as const),
      max: fc.option(fc.integer({ min: 1_000, max: 7_000 })),
      delayMs: fc.option(fc.nat(10 * HOUR_MS)),
      expiresAfterMs: fc.option(fc.integer({ min: MINUTE_MS, max: 40 * HOUR_MS })),
    }),
    { maxLength: 60 },
  )
  .map((all) =>
    all
      .toSorted((a, b) => a.atMs - b.atMs)
      .map(({ atMs, tier, max, delayMs, expiresAfterMs }) =>
        flex(0, {
          ...{ atMs, tier },
          ...(expiresAfterMs === null ? {} : { expiresAfterMs }),
          ...(tier === 'standard' || max === null ? {} : { maxMultiplierBps: max }),
          ...(tier === 'standard' || delayMs === null ? {} : { notBeforeMs: atMs + delayMs }),
        }),
      ),
  )

test('every video ends once, and none goes before its time or above its maximum', () => {
  fc.assert(
    fc.property(videos, fc.constantFrom(NIGHTS, DEMAND), (all, schedule) => {
      const ends = endsOf(all, schedule, 2)
      expect(ends.map(({ number }) => number)).toEqual(all.map((_, number) => number))
      for (const { video, startedAtMs, multiplierBps, outcome } of ends) {
        if (video.tier === 'standard' || startedAtMs === null) continue
        expect(startedAtMs).toBeGreaterThanOrEqual(video.notBeforeMs ?? 0)
        expect(multiplierBps).toBeLessThanOrEqual(video.maxMultiplierBps ?? 10_000)
        expect(outcome).not.toBe('queued')
      }
    }),
    { numRuns: 100 },
  )
})
