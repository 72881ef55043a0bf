import { expect, test } from 'vitest'
import { type FlexSchedule, fixedSchedule } from '../flex/flex-price.ts'
import { forecastLater, msUntilReady } from './later.ts'

const HOUR_MS = 3_600_000
const NIGHTS: FlexSchedule = {
  by: 'hour',
  steps: [
    { from: 0, multiplierBps: 2_000 },
    { from: 7, multiplierBps: 6_000 },
  ],
}
const noon = (schedule: FlexSchedule) => ({ schedule, atMs: Date.parse('2026-11-27T12:00Z'), utilisation: 0 })
const wait = (max: number | null, hours: number) => ({
  multiplier_bps_max: max,
  not_before_in_ms: hours * HOUR_MS,
})

test('a flex video is ready when its time and then its price have come', () => {
  const hoursUntil = (max: number | null, hours: number, schedule = NIGHTS) => {
    const ms = msUntilReady(noon(schedule), wait(max, hours))
    return ms === null ? null : ms / HOUR_MS
  }
  expect([hoursUntil(null, 0), hoursUntil(6_000, 0), hoursUntil(null, 5)]).toEqual([0, 0, 5])
  // At midnight; and when its time is after the cheap hours, a day later.
  expect([hoursUntil(2_000, 0), hoursUntil(2_000, 13), hoursUntil(2_000, 20)]).toEqual([12, 13, 36])
  expect(hoursUntil(1_000, 0, fixedSchedule(5_000))).toBeNull()
  expect(hoursUntil(1_000, 0, { ...NIGHTS, by: 'utilisation' })).toBeNull()
})

test('what waits is there once it is ready and made, or when those before it are, whichever is later', () => {
  const end = { pool: 'a', startMs: 90_000, freeMs: 100_000, storedMs: 101_000, lateMs: 115_000 }
  expect(forecastLater(end, { readyInMs: 60_000, costMs: 10_000 }).end).toEqual(end)
  expect(forecastLater(end, { readyInMs: 110_000, costMs: 10_000 })).toEqual({
    position: null,
    end: { pool: 'a', startMs: 110_000, freeMs: 120_000, storedMs: 121_000, lateMs: 121_000 },
  })
  expect(forecastLater(end, { readyInMs: null, costMs: 10_000 }).end).toBeNull()
  expect(forecastLater(null, { readyInMs: 0, costMs: 10_000 }).end).toBeNull()
})
