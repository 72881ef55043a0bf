import { expect, test } from 'vitest'
import { microsOfMinor, wholeMinors } from './stripe-amount.ts'

test.each([
  ['USD', 2_500, 25_000_000n],
  ['EUR', 1, 10_000n],
  // No hundredths of them, and Stripe counts them whole.
  ['JPY', 500, 500_000_000n],
  ['KRW', 1, 1_000_000n],
  // Thousandths.
  ['KWD', 5_120, 5_120_000n],
  // No hundredths any more, and Stripe still counts them.
  ['ISK', 500, 5_000_000n],
  ['UGX', 500, 5_000_000n],
  ['HUF', 1_000, 10_000_000n],
])('amounts of %s are as Stripe counts them: %i is %i micro-units', (currency, amount, micros) => {
  expect(microsOfMinor(amount, currency)).toBe(micros)
  expect(wholeMinors(micros + 999n, currency)).toBe(micros)
})
