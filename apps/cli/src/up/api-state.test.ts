import { expect, test } from 'vitest'
import { missingParts } from './api-state.ts'

test('what a start waits for is told in words, whatever answers', () => {
  const missing = [
    { part: 'queue', problem: 'Redis is not connected' },
    { part: 'worker', problem: 'no worker for animatic is connected' },
  ]
  const body = JSON.stringify({ status: 'not_ready', missing, doubtful: [] })
  expect(missingParts({ status: 503, body })).toBe(
    'queue: Redis is not connected; worker: no worker for animatic is connected',
  )
  expect(missingParts({ status: 502, body: 'Bad Gateway' })).toBe('502 Bad Gateway')
  expect(missingParts(null)).toBe('no answer')
})
