import type { ServiceTier } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type FlexSchedule,
  fixedSchedule,
  highestMultiplier,
  isWithinMaximum,
  lowestMultiplier,
  msUntilChange,
  msUntilWithinMaximum,
  multiplierAt,
  shareAboveFlex,
  utilisationAfter,
} from './flex-price.ts'

const NIGHTS: FlexSchedule = {
  by: 'hour',
  steps: [
    { from: 0, multiplierBps: 2_000 },
    { from: 7, multiplierBps: 6_000 },
    { from: 20, multiplierBps: 4_000 },
  ],
}
const DEMAND: FlexSchedule = {
  by: 'utilisation',
  steps: [
    { from: 0, multiplierBps: 3_000 },
    { from: 70, multiplierBps: 8_000 },
  ],
}
const at = (time: string, utilisation = 0) => ({ atMs: Date.parse(time), utilisation })

test('by hour the price is that of the last step that has begun, by UTC', () => {
  const multipliers = ['00:00', '06:59', '07:00', '19:59', '20:00', '23:59'].map((time) =>
    multiplierAt(NIGHTS, at(`2026-11-27T${time}:59.999Z`)),
  )
  expect(multipliers).toEqual([2_000, 2_000, 6_000, 6_000, 4_000, 4_000])
  expect([highestMultiplier(NIGHTS), lowestMultiplier(NIGHTS)]).toEqual([6_000, 2_000])
})

test('by utilisation the price is that of the last step that is reached', () => {
  const multipliers = [0, 0.699, 0.7, 1].map((share) => multiplierAt(DEMAND, at('2026-11-27T12:00Z', share)))
  expect(multipliers).toEqual([3_000, 3_000, 8_000, 8_000])
})

test('by the clock it is known how long a maximum waits for its price; by utilisation, or for one below all steps, it is not', () => {
  const noon = at('2026-11-27T12:30Z', 0.9)
  const until = (schedule: FlexSchedule, max: number | null) => msUntilWithinMaximum(schedule, max, noon)
  expect([null, 6_000, 5_999, 4_000, 3_999, 2_000, 1_999].map((max) => until(NIGHTS, max))).toEqual([
    ...[0, 0, 7.5, 7.5, 11.5, 11.5].map((hours) => hours * 3_600_000),
    null,
  ])
  expect([8_000, 3_000].map((max) => until(DEMAND, max))).toEqual([0, null])
  expect([5_000, 4_999].map((max) => until(fixedSchedule(5_000), max))).toEqual([0, null])
})

test('the clock changes a price at the next step, and one that has no other never', () => {
  const hours = ['2026-11-27T00:00Z', '2026-11-27T06:30Z', '2026-11-27T20:15Z'].map(
    (time) => (msUntilChange(NIGHTS, Date.parse(time)) ?? 0) / 3_600_000,
  )
  expect(hours).toEqual([7, 0.5, 3.75])
  expect(msUntilChange(DEMAND, 0)).toBeNull()
  expect(msUntilChange(fixedSchedule(5_000), 0)).toBeNull()
})

const schedules = fc
  .record({
    by: fc.constant('hour' as const),
    hours: fc.uniqueArray(fc.integer({ min: 1, max: 23 }), { maxLength: 23 }),
    multipliers: fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 24, maxLength: 24 }),
  })
  .map(
    ({ by, hours, multipliers }): FlexSchedule => ({
      by,
      steps: [0, ...hours.toSorted((a, b) => a - b)].map((from, index) => ({
        from,
        multiplierBps: multipliers[index] ?? 1,
      })),
    }),
  )

test('the first moment of a maximum is the first at which the price is within it, minute by minute', () => {
  fc.assert(
    fc.property(
      schedules,
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.nat(1_439),
      (schedule, max, minuteOfDay) => {
        const startMs = Date.parse('2026-11-27') + minuteOfDay * 60_000
        const isWithin = (atMs: number) =>
          isWithinMaximum(max, multiplierAt(schedule, { atMs, utilisation: 0 }))
        const first = Array.from({ length: 1_440 }, (_, minute) => minute * 60_000).find((ms) =>
          isWithin(startMs + ms),
        )
        expect(msUntilWithinMaximum(schedule, max, { atMs: startMs, utilisation: 0 })).toBe(first ?? null)
      },
    ),
    { numRuns: 50 },
  )
})

test('utilisation is what flex leaves others, smoothed: it forgets, whatever the steps in which it is kept', () => {
  const pools = [{ slots: 3 }, { slots: 1 }]
  const attempt = (tier: ServiceTier, freeInMs: number | null = null) => ({ tier, freeInMs })
  const inFlight = [attempt('priority'), attempt('standard'), attempt('standard', 100), attempt('flex')]
  expect(shareAboveFlex({ pools, inFlight })).toBe(0.5)
  expect(shareAboveFlex({ pools: [], inFlight: [] })).toBeNull()
  expect(utilisationAfter(0.3, 0.9, 0)).toBeCloseTo(0.3)
  expect(utilisationAfter(0, 1, 900_000)).toBeCloseTo(1 - 1 / Math.E)
  expect(utilisationAfter(utilisationAfter(0, 1, 300_000), 1, 600_000)).toBeCloseTo(1 - 1 / Math.E)
  expect(utilisationAfter(0.3, 0.9, -5_000)).toBeCloseTo(0.3)
})
