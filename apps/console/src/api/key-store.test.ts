import { expect, test } from 'vitest'
import { keyInFragment } from './key-store.ts'

test('a key in the fragment is found beside other entries', () => {
  expect(keyInFragment('#key=sk-abc')).toBe('sk-abc')
  expect(keyInFragment('#view=list&key=sk-abc')).toBe('sk-abc')
})

test('a fragment without a key changes nothing', () => {
  expect(keyInFragment('')).toBeNull()
  expect(keyInFragment('#key=')).toBeNull()
  expect(keyInFragment('#key=%20')).toBeNull()
  expect(keyInFragment('#top')).toBeNull()
})
