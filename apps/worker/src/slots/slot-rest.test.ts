import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SlotRest } from './slot-rest.ts'

let rest: SlotRest
let lines: string[]

beforeEach(() => {
  vi.useFakeTimers()
  lines = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
  rest = new SlotRest({ onChange: () => {}, log })
})
afterEach(() => {
  vi.useRealTimers()
})

/** Fails the video, and returns for how many milliseconds the slot rests then. */
function restAfter(video: string): number {
  rest.failed(video, 'runner_exited')
  let ms = 0
  for (; rest.isResting; ms += 500) vi.advanceTimersByTime(500)
  return ms
}

test('one video that fails again and again never makes the slot rest for longer than others need to take it', () => {
  for (let time = 0; time < 5; time += 1) expect(restAfter('poison')).toBe(500)
  expect(lines).toEqual([])
})

test('from a second video in a row on, rests double up to a minute, whichever video it is; a success ends them', () => {
  restAfter('a')
  expect(['b', 'b', 'c', 'a', 'b', 'c', 'd', 'd'].map(restAfter)).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
  ])
  expect(lines).toHaveLength(1)
  rest.failed('e', 'runner_exited')
  expect(rest.isLong).toBe(true)
  rest.succeeded()
  expect([rest.isResting, rest.isLong]).toEqual([false, false])
  expect(lines).toHaveLength(2)
  expect(restAfter('f')).toBe(500)
  expect(restAfter('g')).toBe(1_000)
})

test('videos that fail together, by the end of one runner, are one failure', () => {
  rest.failed('a', 'runner_exited')
  rest.failed('b', 'runner_exited')
  expect(rest.isLong).toBe(false)
})
