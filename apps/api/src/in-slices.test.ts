import { expect, it } from 'vitest'
import { cutAtYields, inSlices } from './in-slices.ts'

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

it('work that yields is cut there and nowhere else, and gives way to what else is due', async () => {
  const order: string[] = []
  function* work() {
    for (const part of ['one', 'two', 'three']) {
      const untilMs = performance.now() + 5
      while (performance.now() < untilMs);
      order.push(part)
      yield
    }
    return 'made'
  }
  setImmediate(() => order.push('another'))
  expect(await cutAtYields(work())).toBe('made')
  expect(order).toEqual(['one', 'another', 'two', 'three'])
})
