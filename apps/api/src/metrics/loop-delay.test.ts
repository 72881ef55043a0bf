import { Histogram, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { eventually } from '../../../../test/support/eventually.ts'
import { observeLoopDelay } from './loop-delay.ts'

it('sees how long the event loop was held, once, and nothing after its end', async () => {
  const delays = new Histogram({
    name: 'delays',
    help: 'of the test',
    buckets: [0.1],
    registers: [new Registry()],
  })
  const figures = async () => {
    const { values } = await delays.get()
    const figureOf = (name: string) => values.find(({ metricName }) => metricName === name)?.value ?? 0
    const fast = values.find(({ labels }) => labels.le === 0.1)?.value ?? 0
    return {
      count: figureOf('delays_count'),
      slow: figureOf('delays_count') - fast,
      sum: figureOf('delays_sum'),
    }
  }
  const end = observeLoopDelay(delays)
  await eventually(figures, ({ count }) => count >= 2)
  const before = await figures()
  const heldUntilMs = performance.now() + 200
  while (performance.now() < heldUntilMs);
  const held = await eventually(figures, ({ slow }) => slow > before.slow)
  expect(held.sum - before.sum).toBeGreaterThan(0.18)
  end()
  const { count } = await figures()
  let isLater = false
  setTimeout(() => {
    isLater = true
  }, 50)
  await eventually(async () => isLater, Boolean)
  expect((await figures()).count).toBe(count)
})
