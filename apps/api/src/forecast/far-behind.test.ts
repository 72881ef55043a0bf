import type { Forecast as Expected } from '@sluice/gate/forecast/expected-end'
import { queueKeyOf } from '@sluice/gate/head-row'
import { expect, test } from 'vitest'
import { cutQueuesOf, expectFarBehind } from './far-behind.ts'

const row = (id: string, fields: object = {}) => ({
  id,
  key_id: 'key_1',
  service_tier: 'standard' as const,
  capability: 'animatic',
  width: 336,
  height: 192,
  num_frames: 5,
  ...fields,
})
const servedAt = (startMs: number, position: number): Expected => ({
  position,
  end: { pool: 'a', startMs, freeMs: startMs + 1_000, storedMs: startMs + 1_100, lateMs: startMs + 2_100 },
})

test('what a key has queued beside the simulated videos stands behind its queues that were cut', () => {
  const rows = [row('1'), row('2'), row('3', { num_frames: 9 }), row('4', { service_tier: 'flex' })]
  const forecasts = new Map(rows.map(({ id }) => [id, servedAt(Number(id) * 1_000, Number(id))]))
  const cut = cutQueuesOf(Map.groupBy(rows, queueKeyOf), (queueKey) => !queueKey.includes('x9 '), {
    tierQueues: [
      { keyId: 'key_1', tier: 'standard', queued: 103 },
      { keyId: 'key_1', tier: 'flex', queued: 1 },
    ],
    forecasts,
    createdAtMs: Number,
  })
  expect(
    [...cut.values()].map(({ simulated, behind, last }) => [simulated, behind, last.createdAtMs]),
  ).toEqual([
    [2, 100, 2],
    [1, 0, 4],
  ])
})

test('a video far behind is expected as late as those before it are served, by when it was submitted', () => {
  const queue = { last: { ...servedAt(10_000, 10), createdAtMs: 0 }, simulated: 10, behind: 89 }
  const takesMs = () => ({ deviceMs: 2_000, uploadMs: 300 })
  const expectedOf = (createdAtMs: number | null) =>
    expectFarBehind(queue, { createdAtMs, nowMs: 1_000, takesMs })
  // Ten in ten seconds: the hundredth begins after a hundred.
  expect(expectedOf(null)).toEqual({
    position: 100,
    end: { pool: 'a', startMs: 100_000, freeMs: 102_000, storedMs: 102_300, lateMs: 112_300 },
  })
  expect(expectedOf(1_000)).toEqual(expectedOf(null))
  expect(expectedOf(0).position).toBe(11)
  expect(expectedOf(500).end?.startMs).toBe(55_500)
  const nowhere = { ...queue, last: { position: 10, end: null, createdAtMs: 0 } }
  expect(expectFarBehind(nowhere, { createdAtMs: null, nowMs: 1_000, takesMs }).end).toBeNull()
})
