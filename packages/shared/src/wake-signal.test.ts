import { expect, test } from 'vitest'
import { WakeSignal } from './wake-signal.ts'

const LONG_MS = 600_000

test('a wake-up ends the wait in progress', async () => {
  const signal = new WakeSignal()
  const waiting = signal.wait(LONG_MS)
  signal.wake()
  await waiting
})

test('a wake-up while nobody waits ends the next wait at once, and that one only', async () => {
  const signal = new WakeSignal()
  signal.wake()
  signal.wake()
  await signal.wait(LONG_MS)
  const began = performance.now()
  await signal.wait(50)
  expect(performance.now() - began).toBeGreaterThan(40)
})

test('a wait without a wake-up ends after its time', async () => {
  await new WakeSignal().wait(1)
})
