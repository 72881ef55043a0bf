import { expect, it } from 'vitest'
import { inSlices } from './in-slices.ts'

it('long work gives way to what else is due, and keeps its order', async () => {
  const order: (number | string)[] = []
  const hold = (item: number) => {
    const untilMs = performance.now() + 5
    while (performance.now() < untilMs);
    order.push(item)
    return item * 2
  }
  setImmediate(() => order.push('another'))
  expect(await inSlices([1, 2, 3], hold)).toEqual([2, 4, 6])
  expect(order).toEqual([1, 'another', 2, 3])
  expect(await inSlices([], hold)).toEqual([])
})
