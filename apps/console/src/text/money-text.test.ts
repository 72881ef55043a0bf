import { expect, test } from 'vitest'
import { isZero, moneyText } from './money-text.ts'

test('an amount is shown to the last micro-unit', () => {
  expect(moneyText({ amount: '0.6237', currency: 'USD' }, 6, 'en')).toBe('$0.6237')
  expect(moneyText({ amount: '999999999999.123456', currency: 'USD' }, 6, 'en')).toBe(
    '$999,999,999,999.123456',
  )
})

test('a shortened balance is never more than there is', () => {
  expect(moneyText({ amount: '9.999999', currency: 'USD' }, 2, 'en')).toBe('$9.99')
})

test('a currency that is not a code is still shown', () => {
  expect(moneyText({ amount: '1.5', currency: 'credits' }, 6, 'en')).toBe('1.50 credits')
})

test('zero is zero however it is written', () => {
  expect(['0', '0.00', '0.000000', '0.000001', '10'].map(isZero)).toEqual([true, true, true, false, false])
})
