import { seededRandom } from '@sluice/shared/seeded-random'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HeadRow } from '../head-row.ts'
import { futureOf, LAST_ID, NO_ARRIVALS } from './arrivals.ts'

const ROW = { id: 'video_1', expires_in_ms: 60_000, key_id: 'key_1' } as HeadRow

test('as many come as came lately, for as long, and each is like one of them', () => {
  const rows = ['a', 'b', 'c', 'd'].map((key_id) => ({ ...ROW, key_id }))
  const random = seededRandom(1)
  const futures = Array.from({ length: 2_000 }, () => [...futureOf({ rows, spanMs: 8_000 }, random)])
  const all = futures.flat()
  // 2,000 times 4, within five standard deviations of what a Poisson process of that rate makes.
  expect(Math.abs(all.length - 8_000)).toBeLessThan(5 * Math.sqrt(8_000))
  for (const { key_id: keyId } of rows)
    expect(all.filter(({ row }) => row.key_id === keyId).length / all.length).toBeCloseTo(0.25, 1)
  const late = all.filter(({ inMs }) => inMs >= 4_000).length
  expect(late / all.length).toBeCloseTo(0.5, 1)
})

test('they come in order, after all that is there, and live as long as those that they are like', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 200 }), (seed, count) => {
      const rows = Array.from({ length: count }, () => ROW)
      const future = [...futureOf({ rows, spanMs: 1_000 }, seededRandom(seed))]
      for (const [index, { inMs, row }] of future.entries()) {
        expect(inMs).toBeLessThan(1_000)
        expect(inMs).toBeGreaterThanOrEqual(future[index - 1]?.inMs ?? 0)
        expect(row.id > (future[index - 1]?.row.id ?? LAST_ID)).toBe(true)
        expect(row.expires_in_ms - inMs).toBeCloseTo(60_000)
      }
    }),
  )
})

test('after nothing nothing comes', () => {
  expect([...futureOf(NO_ARRIVALS, seededRandom(1))]).toEqual([])
})
