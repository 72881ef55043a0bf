import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
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

test('each invariant of ARCHITECTURE has two mutants that break it', () => {
  const page = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8')
  const invariants = [...page.matchAll(/^\| (\d+) \| (.*?) \|/gm)].map(([, number = '']) => number)
  expect(invariants.length).toBeGreaterThanOrEqual(30)
  const countOf = (number: string) => ALL_MUTANTS.filter(({ rule }) => rule.startsWith(`${number}: `)).length
  expect(invariants.filter((number) => countOf(number) < 2)).toEqual([])
})

test('the tests that must notice are there: what runs no test would be noticed by everything', () => {
  const missing = ALL_MUTANTS.flatMap(({ rule, tests: [, ...rest] }) => {
    const at = rest.indexOf('-t')
    const files = at < 0 ? rest : rest.slice(0, at)
    const absent = files.filter((file) => !existsSync(join(ROOT, file)))
    const [, title] = at < 0 ? [] : rest.slice(at)
    const isNamed = files.some(
      (file) =>
        title === undefined || statSync(join(ROOT, file)).isDirectory() || textOf(file).includes(title),
    )
    return [...absent, ...(isNamed ? [] : [`${rule}: ${title}`])]
  })
  expect(missing).toEqual([])
})

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
}
