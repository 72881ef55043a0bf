import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ALL_MUTANTS } from './all-mutants.ts'
import { mutatedText } from './mutate.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MIGRATIONS = 'apps/api/migrations'

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

test('every mutant leaves a program: what cannot be read would be noticed by everything', () => {
  const programs = ALL_MUTANTS.filter(({ file }) => file.endsWith('.ts'))
  const unreadable = programs.flatMap((mutant) => {
    try {
      stripTypeScriptTypes(mutatedText(ROOT, mutant))
      return []
    } catch (error) {
      return [`${mutant.rule}: ${(error as Error).message}`]
    }
  })
  expect(unreadable).toEqual([])
})

test('a mutant of a function or view of the database changes its last definition: an earlier one is used by nobody', () => {
  const names = readdirSync(join(ROOT, MIGRATIONS)).sort()
  const lastFiles = new Map<string, string>()
  for (const name of names)
    for (const defined of definitionsIn(textOf(join(MIGRATIONS, name)))) lastFiles.set(defined.name, name)
  const replaced = ALL_MUTANTS.flatMap(({ rule, file, find }) => {
    if (!file.startsWith(MIGRATIONS)) return []
    const inside = definitionsIn(textOf(file)).find(({ text }) => text.includes(find))
    if (inside === undefined || file.endsWith(lastFiles.get(inside.name) ?? '')) return []
    return [`${rule}: ${inside.name} is defined anew in ${lastFiles.get(inside.name)}`]
  })
  expect(lastFiles.has('video_end_is_summed') && lastFiles.has('device_occupant')).toBe(true)
  expect(replaced).toEqual([])
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

/** The functions and views that a migration defines. */
function definitionsIn(text: string): { name: string; text: string }[] {
  const definitions = text.matchAll(
    /create (?:or replace )?(?:function (\w+)\b.*?\$\$.*?\$\$|view (\w+)\b.*?;)/gs,
  )
  return [...definitions].map(([whole, ofFunction, ofView = '']) => ({
    name: ofFunction ?? ofView,
    text: whole,
  }))
}

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
}
