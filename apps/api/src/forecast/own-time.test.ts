import { expect, test } from 'vitest'
import { OwnTime } from './own-time.ts'

const takenAtOnce = (time: OwnTime) => {
  let count = 0
  while (count < 1_000 && time.take(0)) count += 1
  return count
}

test('of many who ask at once only some have a simulation of their own, and more as time goes by', () => {
  const time = OwnTime.first()
  expect(takenAtOnce(time)).toBe(20)
  expect(time.take(19)).toBe(false)
  expect(time.take(20)).toBe(true)
})

test('what the last one took counts for the next, and one that was slow is not the last for good', () => {
  let time = OwnTime.first()
  time.take(0)
  time.took(1_000)
  expect(time.take(1_000)).toBe(false)
  let snapshots = 0
  for (; !time.take(0); snapshots += 1) time = time.next()
  // A thousand, halved until it is twenty.
  expect(snapshots).toBe(6)
})
