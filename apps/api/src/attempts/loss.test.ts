import { expect, test } from 'vitest'
import { type Loss, lossMessage, mayBeItsDoing } from './loss.ts'

/** A worker that died while it had this one video on a device, and nothing else happened. */
const ALONE: Loss = {
  isTaken: true,
  isOnDevice: true,
  hasRestarted: true,
  lives: true,
  hasCompany: false,
  isDisturbed: false,
}

test('a lost attempt counts against its video only when its worker died alone while it was on the device', () => {
  expect(mayBeItsDoing(ALONE)).toBe(true)
  expect(mayBeItsDoing({ ...ALONE, hasRestarted: false, lives: false })).toBe(true)
  const others: Partial<Loss>[] = [
    { isTaken: false },
    { isOnDevice: false },
    { hasRestarted: false, lives: true },
    { hasCompany: true },
    { isDisturbed: true },
  ]
  expect(others.map((change) => mayBeItsDoing({ ...ALONE, ...change }))).toEqual(others.map(() => false))
})

test('what is said of a lost attempt is what happened', () => {
  expect(lossMessage({ ...ALONE, isTaken: false })).toMatch(/No worker took it/)
  expect(lossMessage(ALONE)).toMatch(/started again and came back without it/)
  expect(lossMessage({ ...ALONE, hasRestarted: false })).toMatch(/no longer names it/)
  expect(lossMessage({ ...ALONE, hasRestarted: false, lives: false })).toMatch(/fell silent/)
})
