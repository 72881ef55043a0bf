import { expect, test } from 'vitest'
import { type ExpectedEnd, middleOf } from './expected-end.ts'

const endAt = (storedMs: number, pool = 'a'): ExpectedEnd => ({
  pool,
  startMs: storedMs - 200,
  freeMs: storedMs - 100,
  storedMs,
  lateMs: storedMs,
})

test('of seven futures the fourth is expected, and the last one is late', () => {
  const ends = [70, 10, 20, 60, 30, 50, 40].map((seconds) => endAt(seconds * 1_000, `pool ${seconds}`))
  expect(middleOf(ends)).toEqual({ ...endAt(40_000, 'pool 40'), lateMs: 70_000 })
  expect(middleOf(ends.slice(0, 1))).toEqual(ends[0])
  // The nine that are within it are enough.
  const ten = Array.from({ length: 10 }, (_, index) => endAt(1_000 * (index + 1)))
  expect(middleOf(ten)).toEqual({ ...endAt(5_000), lateMs: 9_000 })
})

test('what has no end in most futures has none', () => {
  expect(middleOf([null])).toBeNull()
  expect(middleOf([null, null, endAt(1_000)])).toBeNull()
  expect(middleOf([null, endAt(1_000), endAt(2_000)])).toEqual({ ...endAt(1_000), lateMs: 2_000 })
})
