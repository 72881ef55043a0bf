import fc from 'fast-check'
import { expect, test } from 'vitest'
import { paceOf } from './finish.ts'

test('a pace never says more time than the API saw the device at work, whatever the worker measured', () => {
  const seconds = fc.double({ min: 0, max: 1e306, noNaN: true })
  const seen = fc.double({ min: -1_000, max: 1e12, noNaN: true })
  fc.assert(
    fc.property(seconds, seconds, seen, fc.nat(1_000), (denoise, load, seenMs, steps_run) => {
      const pace = paceOf({ steps_run, timings: { denoise, load } }, seenMs, 50)
      if (pace === null) return
      const steps = Math.min(steps_run, 50)
      expect(pace.stepMs).toBeGreaterThanOrEqual(0)
      expect(pace.overheadMs).toBeGreaterThanOrEqual(0)
      expect(pace.stepMs * steps + pace.overheadMs).toBeLessThanOrEqual(seenMs * (1 + 1e-9))
    }),
  )
})

test('a pace is the time per step, and what the device was at work besides; a switch of models is neither', () => {
  const measured = { steps_run: 10, timings: { denoise: 2, load: 5 } }
  expect(paceOf(measured, 8_000, 50)).toEqual({ stepMs: 200, overheadMs: 1_000 })
  expect(paceOf({ ...measured, steps_run: 0 }, 8_000, 50)).toBeNull()
  expect(paceOf({ steps_run: 10, timings: {} }, 8_000, 50)).toBeNull()
})
