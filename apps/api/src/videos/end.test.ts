import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cancelledEnd, expiredEnd, failedEnd, lostEnd, unansweredCancelEnd } from './end.ts'

test('a cancel charges the steps done, at most those known when it was requested plus one, never more than all', () => {
  const steps = fc.integer({ min: 0, max: 100 })
  fc.assert(
    fc.property(steps, fc.option(steps), fc.integer({ min: 1, max: 100 }), (done, cancel_step, num_steps) => {
      const { chargedSteps } = cancelledEnd({ num_steps, cancel_step }, done)
      expect(chargedSteps).toBeLessThanOrEqual(done)
      expect(chargedSteps).toBeLessThanOrEqual((cancel_step ?? 0) + 1)
      expect(chargedSteps).toBeLessThanOrEqual(num_steps)
      expect([done, (cancel_step ?? 0) + 1, num_steps]).toContain(chargedSteps)
    }),
  )
})

test('the fence is raised whenever the worker has not said itself that the attempt is over', () => {
  const video = { num_steps: 10, cancel_step: 2 }
  const error = { code: 'internal', message: 'no' }
  expect([cancelledEnd(video, 2), failedEnd(error)].map((end) => end.raiseFence)).toEqual([false, false])
  const unanswered = [unansweredCancelEnd(video, 2), lostEnd(error), expiredEnd()]
  expect(unanswered.map((end) => end.raiseFence)).toEqual([true, true, true])
})
