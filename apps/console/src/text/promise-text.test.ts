import { expect, test } from 'vitest'
import { promiseText } from './promise-text.ts'

test('a promise says by when, whether it was kept, and what came back when it was not', () => {
  const promise = { deliver_by: 1_800_000_000, credit: { amount: '0', currency: 'USD' } }
  expect(promiseText({ ...promise, state: 'given' })).toMatch(/^promised by \d/)
  expect(promiseText({ ...promise, state: 'kept' })).toBe('came as promised')
  expect(promiseText({ ...promise, state: 'missed' })).toBe('later than promised')
  const credit = { amount: '0.5', currency: 'USD' }
  expect(promiseText({ ...promise, state: 'missed', credit })).toMatch(/^later than promised, .*0\.50? back$/)
  expect(promiseText({ ...promise, state: 'void' })).toBeNull()
})
