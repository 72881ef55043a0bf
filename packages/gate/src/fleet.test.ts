import { expect, test } from 'vitest'
import { slotsFreeInMs } from './fleet.ts'

const POOL = { queue: 'a', slots: 3 }
const attempt = (leftMs: number, freeInMs: number | null = null, isRunning = true) => ({
  queue: 'a',
  isRunning,
  leftMs,
  freeInMs,
})

test('a slot is free when what it has is done, as its worker says or as predicted; a free one is free now', () => {
  expect(slotsFreeInMs({ inFlight: [] }, POOL)).toEqual([0, 0, 0])
  const inFlight = [attempt(9_000), attempt(9_000, 4_000), { ...attempt(1_000), queue: 'b' }]
  expect(slotsFreeInMs({ inFlight }, POOL)).toEqual([0, 4_000, 9_000])
  expect(slotsFreeInMs({ inFlight: [attempt(9_000, -20)] }, { queue: 'a', slots: 1 })).toEqual([0])
})

test('what follows a nearly finished video begins when that ends, wherever it stands in the list', () => {
  const follower = attempt(10_000, null, false)
  const inFlight = [follower, attempt(20_000), attempt(30_000, 1_500), attempt(8_000)]
  expect(slotsFreeInMs({ inFlight }, POOL)).toEqual([8_000, 11_500, 20_000])
})
