import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Deletions } from './deletions.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function deletions(send: (id: string) => Promise<void> = async () => {}) {
  const sent: string[] = []
  const all = new Deletions({
    undoMs: 6_000,
    send: (id) => {
      sent.push(id)
      return send(id)
    },
  })
  return { all, sent }
}

test('a deletion that is undone is never asked for', async () => {
  const { all, sent } = deletions()
  all.begin('a')
  await vi.advanceTimersByTimeAsync(5_999)
  all.undo('a')
  await vi.advanceTimersByTimeAsync(60_000)
  expect([sent, all.of('a')]).toEqual([[], undefined])
})

test('a deletion is asked for once, however often it was clicked, and too late to undo after that', async () => {
  const { all, sent } = deletions(() => new Promise(() => {}))
  for (let click = 0; click < 5; click++) all.begin('a')
  await vi.advanceTimersByTimeAsync(6_000)
  all.begin('a')
  all.undo('a')
  expect([sent, all.of('a')]).toEqual([['a'], { state: 'sending' }])
})

test('a page that is left asks at once for what still waits', () => {
  const { all, sent } = deletions()
  all.begin('a')
  all.begin('b')
  all.undo('a')
  all.flush()
  expect(sent).toEqual(['b'])
})

test('a deletion that failed says why and can be wanted again', async () => {
  let fails = true
  const { all, sent } = deletions(async () => {
    if (fails) throw new Error('away')
  })
  all.begin('a')
  await vi.advanceTimersByTimeAsync(6_000)
  expect(all.of('a')).toMatchObject({ state: 'failed', error: { message: 'away' } })
  fails = false
  all.begin('a')
  await vi.advanceTimersByTimeAsync(6_000)
  expect([sent, all.of('a')]).toEqual([['a', 'a'], undefined])
})
