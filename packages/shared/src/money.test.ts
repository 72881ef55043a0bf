import fc from 'fast-check'
import { expect, test } from 'vitest'
import { costMicros, formatMicros, parseMicros } from './money.ts'

const LARGEST = 999_999_999_999_999_999n

test('every amount reads back as itself, and is written without trailing zeros', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: LARGEST }), (amount) => {
      const text = formatMicros(amount)
      expect(parseMicros(text)).toBe(amount)
      expect(text).toMatch(/^(0|[1-9]\d*)(\.\d{0,5}[1-9])?$/)
      if (amount > 0n) expect(formatMicros(-amount)).toBe(`-${text}`)
    }),
  )
})

test.each([
  ['0', 0n],
  ['0.000001', 1n],
  ['12.345678', 12_345_678n],
  ['1.5', 1_500_000n],
  ['1.500000', 1_500_000n],
  ['007', 7_000_000n],
  ['0.1', 100_000n],
  ['999999999999.999999', LARGEST],
])('%s is read exactly', (text, amount) => {
  expect(parseMicros(text)).toBe(amount)
})

test.each([
  '',
  ' 1',
  '1 ',
  '+1',
  '-1',
  '1e3',
  '1E400',
  '.5',
  '1.',
  '1,5',
  '0x10',
  '1_000',
  'NaN',
  'Infinity',
  '0.0000001',
  '1'.repeat(13),
  '١',
])('%j is no amount', (text) => {
  expect(parseMicros(text)).toBeNull()
})

test('text that is not exactly an amount is refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.double().map(String), fc.float().map(String)), (text) => {
      const amount = parseMicros(text)
      if (amount !== null) {
        expect(formatMicros(amount)).toBe(
          text.replace(/^0+(?=\d)/, '').replace(/\.?0+$/, (zeros) => (text.includes('.') ? '' : zeros)),
        )
      }
    }),
  )
})

const terms = [
  fc.bigInt({ min: 0n, max: 10n ** 12n }),
  fc.bigInt({ min: 0n, max: 10n ** 9n }),
  fc.bigInt({ min: 1n, max: 1_000_000n }),
] as const

test('a cost is the exact product, rounded up once: never below it, never a micro-unit above', () => {
  fc.assert(
    fc.property(...terms, (tokens, price, multiplier) => {
      const exact = tokens * price * multiplier
      const cost = costMicros(tokens, price, multiplier) * 10n ** 10n
      expect(cost).toBeGreaterThanOrEqual(exact)
      expect(cost - exact).toBeLessThan(10n ** 10n)
    }),
  )
})

test('part of the tokens never costs more than all of them', () => {
  fc.assert(
    fc.property(...terms, fc.bigInt({ min: 0n, max: 10n ** 12n }), (tokens, price, multiplier, part) => {
      if (part <= tokens) {
        expect(costMicros(part, price, multiplier)).toBeLessThanOrEqual(costMicros(tokens, price, multiplier))
      }
    }),
  )
})

test('amounts beyond what a float can hold stay exact', () => {
  expect(costMicros(10n ** 15n + 1n, 1_000_000n, 10_000n)).toBe(10n ** 15n + 1n)
  expect(costMicros(1n, 1n, 1n)).toBe(1n)
  expect(costMicros(0n, 200_000n, 15_000n)).toBe(0n)
  expect(costMicros(415_800n, 200_000n, 10_000n)).toBe(83_160n)
})
