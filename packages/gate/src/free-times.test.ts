import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FreeTimes } from './free-times.ts'

test('the first is the earliest, however many were given away', () => {
  const times = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 40 })
  fc.assert(
    fc.property(times, times, (free, until) => {
      const heap = new FreeTimes()
      heap.set([1, 2, 3])
      heap.set(free)
      const sorted = free.toSorted((a, b) => a - b)
      for (const ms of until) {
        expect(heap.firstMs).toBe(sorted[0] ?? Number.POSITIVE_INFINITY)
        heap.giveFirst(ms)
        sorted.splice(0, 1, ms)
        sorted.sort((a, b) => a - b)
      }
    }),
  )
})

test('times by another clock count from then on, those that are over as if they were now', () => {
  const free = new FreeTimes()
  free.setRising(Float64Array.of(90, 110, 130, 999), 3, 100)
  free.add(5)
  const firsts = [1, 2, 3, 4].map(() => {
    const { firstMs } = free
    free.giveFirst(500)
    return firstMs
  })
  expect(firsts).toEqual([0, 5, 10, 30])
  expect(free.firstMs).toBe(500)
})
