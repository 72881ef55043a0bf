import fc from 'fast-check'
import { expect, test } from 'vitest'
import { usagePieces } from './usage.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const moment = fc.oneof(
  fc.nat(100 * DAY_MS),
  fc.nat(2_400).map((hours) => hours * HOUR_MS),
  fc.nat(100).map((days) => days * DAY_MS),
)

test('a range is cut into pieces that have each moment once, and of which less than two hours are read video by video', () => {
  fc.assert(
    fc.property(moment, fc.option(moment), (one, other) => {
      const [from, to] = other === null || one <= other ? [one, other] : [other, one]
      const pieces = usagePieces({ from: new Date(from), to: to === null ? null : new Date(to) })
      let end: number | null = from
      let byVideoMs = 0
      for (const piece of pieces) {
        const [begins, ends] = [piece.from.getTime(), piece.to?.getTime() ?? null]
        expect(begins).toBe(end)
        end = ends
        if (piece.source === 'video') byVideoMs += (ends ?? Number.POSITIVE_INFINITY) - begins
        else {
          const spanMs = piece.source === 'day' ? DAY_MS : HOUR_MS
          expect([begins % spanMs, (ends ?? 0) % spanMs]).toEqual([0, 0])
        }
      }
      expect(end).toBe(to)
      expect(byVideoMs).toBeLessThan(2 * HOUR_MS)
    }),
  )
})
