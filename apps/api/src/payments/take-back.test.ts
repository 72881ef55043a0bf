import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dueMicros } from './take-back.ts'

const payment = (paid: bigint, credited: bigint, refunded = 0n, waived = 0n) => ({
  paid_micros: paid,
  credited_micros: credited,
  refunded_micros: refunded,
  waived_micros: waived,
})

test('of what was paid with tax, the same share of the credit is taken back, and all of it with the last of it', () => {
  expect(dueMicros(payment(29_750_000n, 25_000_000n), 11_900_000n)).toBe(10_000_000n)
  expect(dueMicros(payment(29_750_000n, 25_000_000n), 10_000_000n)).toBe(8_403_361n)
  expect(dueMicros(payment(29_750_000n, 25_000_000n), 29_750_000n)).toBe(25_000_000n)
})

test('never more than was credited is due, never less than nothing, and more the more went back', () => {
  const micros = fc.bigInt(0n, 10n ** 12n)
  fc.assert(
    fc.property(micros, micros, micros, micros, micros, micros, (paid, credited, gone, waived, a, b) => {
      const of = payment(paid + 1n, credited, gone, waived)
      const [less, more] = a < b ? [a, b] : [b, a]
      const due = dueMicros(of, more)
      expect(due).toBeGreaterThanOrEqual(0n)
      expect(due).toBeLessThanOrEqual(credited)
      expect(dueMicros(of, less)).toBeLessThanOrEqual(due)
      expect(dueMicros(payment(paid + 1n, credited), paid + 1n)).toBe(credited)
    }),
  )
})
