import { expect, test } from 'vitest'
import { seedFault } from './generation-settings.ts'

test('a seed that is not a whole number is refused before it is sent', () => {
  expect(seedFault('')).toBeNull()
  expect(seedFault(' 42 ')).toBeNull()
  for (const seed of ['-1', '1.5', 'x', '99999999999999999999']) expect(seedFault(seed)).toContain(seed)
})
