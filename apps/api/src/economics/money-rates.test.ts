import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  breakEvenUtilisation,
  costBehindProfit,
  margin,
  microsPerMillion,
  profitOverCost,
  revenueMicros,
  tokensInDays,
} from './money-rates.ts'
import { divideRounded, ratio } from './ratio.ts'

const UNIT = 1_000_000n
const MILLION = 1_000_000n
const BILLION = 1_000n * MILLION
const amount = fc.bigInt({ min: 1n, max: 10n ** 18n })

test('public arithmetic comes out exactly', () => {
  // 100 billion tokens a day at 16 per million
  expect(revenueMicros(100n * BILLION, 16n * UNIT)).toBe(1_600_000n * UNIT)
  // revenue 45 M against cost 360 M
  expect(margin(45n * MILLION * UNIT, 360n * MILLION * UNIT)).toBe(-7)
  // 1,000 billion a day at 8 per million, 365 days
  expect(revenueMicros(1_000n * BILLION * 365n, 8n * UNIT)).toBe(2_920_000_000n * UNIT)
  // 562 k a day at 545 % profit over cost: 87.1 k cost
  const cost = costBehindProfit(562_000n * UNIT, 54_500n)
  expect(divideRounded(cost, 100n * UNIT)).toBe(871n)
  expect(profitOverCost(562_000n * UNIT, cost)).toBe(5.45)
  // 10 tokens a second for 30 days
  expect(tokensInDays(10n, 30n)).toBe(25_920_000n)
})

test('a ratio is within half a millionth, of either sign alike, and null without a denominator', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n }),
      fc.bigInt({ min: 1n, max: 10n ** 6n }),
      (top, bottom) => {
        expect(
          Math.abs((ratio(top, bottom) ?? Number.NaN) - Number(top) / Number(bottom)),
        ).toBeLessThanOrEqual(0.500_001e-6)
        // -0 and 0 are the same ratio
        expect((ratio(-top, bottom) ?? Number.NaN) + (ratio(top, bottom) ?? Number.NaN)).toBe(0)
      },
    ),
  )
  expect(ratio(1n, 0n)).toBeNull()
})

test('what a million brought, times the millions, is the revenue to half a micro-unit a million', () => {
  fc.assert(
    fc.property(amount, amount, (revenue, tokens) => {
      const perMillion = microsPerMillion(revenue, tokens) ?? 0n
      const difference = perMillion * tokens - revenue * MILLION
      expect(difference < 0n ? -difference : difference).toBeLessThanOrEqual(tokens / 2n + 1n)
    }),
  )
})

test('margin and profit over cost agree on whether anything was earned, and cost is found again from the profit', () => {
  fc.assert(
    fc.property(amount, fc.bigInt({ min: 0n, max: 1_000_000n }), (revenue, profitBps) => {
      const cost = costBehindProfit(revenue, profitBps)
      if (cost < 10n ** 9n) return
      expect(
        Math.abs((profitOverCost(revenue, cost) ?? Number.NaN) - Number(profitBps) / 10_000),
      ).toBeLessThan(2e-6)
      expect((margin(revenue, cost) ?? Number.NaN) >= 0).toBe(
        (profitOverCost(revenue, cost) ?? Number.NaN) >= 0,
      )
    }),
  )
})

test('at the break-even utilisation the same GPUs earn what they cost', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 10n ** 6n, max: 10n ** 12n }),
      fc.bigInt({ min: 10n ** 6n, max: 10n ** 12n }),
      fc.integer({ min: 1, max: 100 }),
      (revenue, cost, busyPercent) => {
        const sums = {
          revenueMicros: revenue,
          costMicros: cost,
          busyMs: BigInt(busyPercent) * 36_000n,
          availableMs: 3_600_000n,
        }
        const utilisation = breakEvenUtilisation(sums) ?? Number.NaN
        const earnedThen = (Number(revenue) / (busyPercent / 100)) * utilisation
        expect(Math.abs(earnedThen / Number(cost) - 1)).toBeLessThan(1e-6 / utilisation + 1e-9)
      },
    ),
  )
  expect(breakEvenUtilisation({ revenueMicros: 0n, costMicros: 1n, busyMs: 1n, availableMs: 1n })).toBeNull()
})
