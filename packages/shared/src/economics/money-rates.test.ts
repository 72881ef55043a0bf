import fc from 'fast-check'
import { expect, test } from 'vitest'
import { breakEvenUtilisation, margin, microsPerMillion, profitOverCost, ratio } from './money-rates.ts'

const UNIT = 1_000_000n
const MILLION = 1_000_000n
const amount = fc.bigInt({ min: 1n, max: 10n ** 18n })

test('public arithmetic comes out exactly', () => {
  // revenue 45 M against cost 360 M
  expect(margin(45n * MILLION * UNIT, 360n * MILLION * UNIT)).toBe(-7)
  // 562 k at 545 % profit over 87.1 k cost
  expect(profitOverCost(562_000n * UNIT, 87_131_782_946n)).toBe(5.45)
  // 1.6 M for 100 billion tokens
  expect(microsPerMillion(1_600_000n * UNIT, 100_000n * MILLION)).toBe(16n * UNIT)
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

test('margin and profit over cost agree on whether anything was earned', () => {
  fc.assert(
    fc.property(amount, amount, (revenue, cost) => {
      const sign = revenue < cost ? -1 : 1
      expect((margin(revenue, cost) ?? Number.NaN) * sign).toBeGreaterThanOrEqual(0)
      expect((profitOverCost(revenue, cost) ?? Number.NaN) * sign).toBeGreaterThanOrEqual(0)
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
