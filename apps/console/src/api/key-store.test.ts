import { expect, test } from 'vitest'
import { keyInFragment, withLinkKey } from './key-store.ts'

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

test('a link replaces no key that is signed in: it becomes a question', () => {
  const nobody = { key: null, notice: 'x', refusedKey: 'sk-old', offeredKey: null }
  expect(withLinkKey(nobody, 'sk-b')).toEqual({
    key: 'sk-b',
    notice: null,
    refusedKey: null,
    offeredKey: null,
  })
  const somebody = { ...nobody, notice: null, refusedKey: null, key: 'sk-a' }
  expect(withLinkKey(somebody, 'sk-b')).toEqual({ ...somebody, offeredKey: 'sk-b' })
  expect(withLinkKey(somebody, 'sk-a')).toEqual(somebody)
})
