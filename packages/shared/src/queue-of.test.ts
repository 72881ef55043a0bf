import { expect, test } from 'vitest'
import { heartbeatSchema } from './attempt-contract.ts'
import { queueOf } from './queue-of.ts'

const SERVED = {
  pool: 'h100x1',
  models: ['open-sora-2', 'ink-wash'],
  modes: ['t2v' as const, 'i2v' as const],
  limits: { frames_max: 129, pixels_max: 589_824, sequence_devices: 1 },
}

test('workers that serve the same read the same queue, in whatever order they name it', () => {
  const turned = { ...SERVED, models: ['ink-wash', 'open-sora-2'], modes: ['i2v' as const, 't2v' as const] }
  expect(queueOf(turned)).toBe(queueOf(SERVED))
})

test('workers of another pool, or that serve other models, modes or sizes, read another queue', () => {
  const others = [
    { pool: 'h200x1' },
    { models: ['open-sora-2'] },
    { modes: ['t2v' as const] },
    { limits: { ...SERVED.limits, pixels_max: 100_000 } },
    { limits: { ...SERVED.limits, sequence_devices: 2 } },
  ]
  const queues = [SERVED, ...others.map((changes) => ({ ...SERVED, ...changes }))].map(queueOf)
  expect(new Set(queues).size).toBe(queues.length)
})

test('the longest name of a pool makes a queue that a heartbeat may name', () => {
  const queue = queueOf({ ...SERVED, pool: 'p'.repeat(63) })
  expect(heartbeatSchema.shape.queue.safeParse(queue).success).toBe(true)
})
