import { expect, test } from 'vitest'
import { plainMoney, refusalText } from './fault-text.ts'

test('money in a message of the API reads as everywhere on the page', () => {
  expect(plainMoney('This video costs 0.08316 USD, the balance is 0.01 USD.', 'en')).toBe(
    'This video costs $0.08316, the balance is $0.01.',
  )
  expect(plainMoney('Frames are 129 of 4 KEY.', 'en')).toBe('Frames are 129 of 4 KEY.')
})

test('a refusal says what to do about it', () => {
  const text = (status: number, code: string | null = null) =>
    refusalText({ status, code, message: 'No.' }, 'en')
  expect(text(402, 'insufficient_balance')).toContain('for credit')
  expect(text(403, 'insufficient_scope')).toContain('a key that has this right')
  expect(text(429)).toContain('asks again by itself')
  expect(text(500)).toContain('not yours')
  expect(text(400)).toBe('No.')
})
