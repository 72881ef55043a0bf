import fc from 'fast-check'
import { expect, test } from 'vitest'
import { margin } from './money-rates.ts'
import { costAtUse, priceForMargin, roundedUp } from './price-list.ts'

test('one H200 at 1.99 an hour that makes 7,040 tokens a second costs 0.07852 a million while busy, and 0.130866 at 60 %', () => {
  const slot = { costPerHourMicros: 1_990_000n, tokensPerSecond: 7_040 }
  expect(costAtUse({ ...slot, utilisation: 1 })).toBe(78_520n)
  expect(costAtUse({ ...slot, utilisation: 0.6 })).toBe(130_866n)
  expect(priceForMargin(130_866n, 0.4)).toBe(218_110n)
  expect(roundedUp(218_110n)).toBe(219_000n)
})

test('a price for a margin leaves that margin, and is the lowest that does', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 1n, max: 10n ** 12n }),
      fc.integer({ min: 0, max: 999_999 }),
      (cost, parts) => {
        const wanted = parts / 1_000_000
        const price = priceForMargin(cost, wanted)
        // (price - cost) / price >= wanted, in whole numbers
        expect((price - cost) * 1_000_000n).toBeGreaterThanOrEqual(BigInt(parts) * price)
        expect((price - 1n - cost) * 1_000_000n).toBeLessThan(
          BigInt(parts) * (price - 1n) + (price === 1n ? 1n : 0n),
        )
        expect(margin(price, cost) ?? Number.NaN).toBeGreaterThanOrEqual(wanted - 1e-6)
      },
    ),
  )
})

test('a rounded price is never lower, and by less than a hundredth higher', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 10n ** 15n }), (price) => {
      const rounded = roundedUp(price)
      expect(rounded).toBeGreaterThanOrEqual(price)
      expect((rounded - price) * 100n).toBeLessThan(price === 0n ? 1n : price)
    }),
  )
})

test('a slot that makes nothing and a margin of all of it are refused', () => {
  const slot = { costPerHourMicros: 1n, tokensPerSecond: 1, utilisation: 1 }
  expect(() => costAtUse({ ...slot, tokensPerSecond: 0 })).toThrow(RangeError)
  expect(() => costAtUse({ ...slot, utilisation: 0 })).toThrow(RangeError)
  expect(() => priceForMargin(1n, 1)).toThrow(RangeError)
})
