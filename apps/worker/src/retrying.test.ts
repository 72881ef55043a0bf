import { expect, test } from 'vitest'
import { Backoff, type RetryRules, retrying } from './retrying.ts'

const never = new AbortController().signal
const rules = (changes: Partial<RetryRules>): RetryRules => ({
  signal: never,
  backoff: new Backoff(1, 1),
  mayRetry: () => true,
  ...changes,
})

/** Fails with 'try 1', 'try 2', ... until `succeedsAt`. */
function flaky(succeedsAt: number) {
  const work = async () => {
    work.tries += 1
    if (work.tries < succeedsAt) throw new Error(`try ${work.tries}`)
    return work.tries
  }
  work.tries = 0
  return work
}

test('work is tried until it succeeds', async () => {
  expect(await retrying(flaky(4), rules({}))).toBe(4)
})

test('work is tried no more often than the bound says, and the last error is thrown', async () => {
  const work = flaky(4)
  await expect(retrying(work, rules({ triesMax: 3 }))).rejects.toThrow('try 3')
  expect(work.tries).toBe(3)
  expect(await retrying(flaky(3), rules({ triesMax: 3 }))).toBe(3)
})

test('what may not be retried is thrown at once', async () => {
  const work = flaky(9)
  const mayRetry = (error: unknown) => error instanceof Error && error.message !== 'try 2'
  await expect(retrying(work, rules({ mayRetry }))).rejects.toThrow('try 2')
  expect(work.tries).toBe(2)
})

test('an aborted signal ends the wait, and nothing is tried after it', async () => {
  const controller = new AbortController()
  const work = flaky(9)
  const mayRetry = () => {
    setImmediate(() => controller.abort())
    return true
  }
  const waiting = rules({ signal: controller.signal, backoff: new Backoff(60_000, 60_000), mayRetry })
  await expect(retrying(work, waiting)).rejects.toThrow('try 1')
  expect(work.tries).toBe(1)
})

test('the wait may depend on the error', async () => {
  const chosen: unknown[] = []
  const backoff = (error: unknown) => {
    chosen.push(error instanceof Error && error.message)
    return new Backoff(1, 1)
  }
  await retrying(flaky(3), rules({ backoff }))
  expect(chosen).toEqual(['try 1', 'try 2'])
})
