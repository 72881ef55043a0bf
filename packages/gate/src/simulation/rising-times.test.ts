import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RisingTimes } from './rising-times.ts'

test('times stay in rising order, each as often as it was added and not taken out', () => {
  const steps = fc.array(fc.record({ isAdded: fc.boolean(), ms: fc.integer({ min: 0, max: 9 }) }))
  fc.assert(
    fc.property(steps, (asked) => {
      const times = new RisingTimes(asked.length)
      const expected: number[] = []
      for (const { isAdded, ms } of asked) {
        if (isAdded) expected.push(ms)
        else if (expected.includes(ms)) expected.splice(expected.indexOf(ms), 1)
        else {
          expect(() => times.remove(ms)).toThrow(RangeError)
          continue
        }
        if (isAdded) times.add(ms)
        else times.remove(ms)
        expected.sort((a, b) => a - b)
        expect([...times.times.subarray(0, times.size)]).toEqual(expected)
        expect(times.firstMs).toBe(expected[0] ?? Number.POSITIVE_INFINITY)
      }
    }),
  )
})
