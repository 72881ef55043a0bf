import { expect, test } from 'vitest'
import { LEADER_SILENT_MS_MAX, LEASE_MS } from './leadership.ts'

test('whoever takes over from a silent leader knows that the server has ended its session', () => {
  // By one renewal, and a second in which the server ends the session.
  expect(LEASE_MS).toBeGreaterThanOrEqual(LEADER_SILENT_MS_MAX + 2_000)
})
