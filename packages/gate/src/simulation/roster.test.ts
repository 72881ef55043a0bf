import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Roster } from './roster.ts'

test('those that are left stand in the order in which they came', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(), { freq: 2 })), (leaving) => {
      const roster = new Roster<{ place: number }>()
      const expected: { place: number }[] = []
      for (const number of leaving) {
        if (number === null || expected.length === 0) {
          const item = { place: 0 }
          expected.push(item)
          roster.add(item)
        } else {
          const [left] = expected.splice(number % expected.length, 1)
          if (left !== undefined) roster.remove(left)
        }
        expect(roster.size).toBe(expected.length)
        // Looked at now and then: what was not closed up is met.
        if (expected.length % 3 === 0)
          expect(roster.all.map((item) => expected.indexOf(item))).toEqual([...expected.keys()])
      }
    }),
  )
})
