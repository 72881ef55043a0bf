import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ALL_MUTANTS } from './all-mutants.ts'
import { mutatedText } from './mutate.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test('every mutant still has its place in the code, so that `npm run mutants` changes what it says', () => {
  const stale = ALL_MUTANTS.flatMap((mutant) => {
    try {
      mutatedText(ROOT, mutant)
      return []
    } catch (error) {
      return [(error as Error).message]
    }
  })
  expect(stale).toEqual([])
})

test('no two mutants make the same change', () => {
  const changes = ALL_MUTANTS.map(({ file, find, replace }) => `${file}\n${find}\n${replace}`)
  expect(new Set(changes).size).toBe(changes.length)
})
