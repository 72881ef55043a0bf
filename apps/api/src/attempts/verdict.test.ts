import { expect, test } from 'vitest'
import { verdictOf } from './verdict.ts'

test('a cancel comes before a yield, and without either the attempt continues', () => {
  const at = new Date()
  expect(verdictOf({ cancel_requested_at: at, yield_requested_at: at })).toBe('cancel')
  expect(verdictOf({ cancel_requested_at: at, yield_requested_at: null })).toBe('cancel')
  expect(verdictOf({ cancel_requested_at: null, yield_requested_at: at })).toBe('yield')
  expect(verdictOf({ cancel_requested_at: null, yield_requested_at: null })).toBe('continue')
})
