import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = globSync('**/*.ts', { cwd: root })
  .filter((path) => !path.endsWith('.test.ts'))
  .map((path) => ({ path, text: readFileSync(`${root}${path}`, 'utf8') }))

const writersOf = (statement: RegExp) =>
  sources.filter(({ text }) => statement.test(text)).map(({ path }) => path)

describe('one writer', () => {
  test('only transition.ts writes the status of a video', () => {
    expect(writersOf(/\bupdate\s+video\s+set\s(?:(?!\bwhere\b)[^`])*\bstatus\s*=/)).toEqual([
      'videos/transition.ts',
    ])
  })

  test.each([
    ['video', ['videos/attempt-store.ts', 'videos/transition.ts', 'videos/video-store.ts']],
    ['attempt', ['videos/attempt-store.ts', 'videos/transition.ts']],
  ])('table %s is written in no other file', (table, writers) => {
    const writes = new RegExp(`\\b(update|insert\\s+into|delete\\s+from)\\s+${table}\\b`)
    expect(writersOf(writes).toSorted()).toEqual(writers)
  })
})
