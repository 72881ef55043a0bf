import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { longLines, longTypeScriptLines } from './support/long-lines.ts'

const COLUMNS_MAX = 110
const root = fileURLToPath(new URL('..', import.meta.url))
const sources = globSync(['{apps,packages,runners,test,bench,docs}/**/*.{ts,tsx,mjs,sql,py}', '*.ts'], {
  cwd: root,
  // schema.sql is written by PostgreSQL.
  exclude: ['**/node_modules/**', '**/dist/**', '.sluice*/**', 'apps/api/schema.sql'],
})

describe(`no line is longer than ${COLUMNS_MAX} columns`, () => {
  test('in all of the repository', () => {
    expect(sources.length).toBeGreaterThan(300)
    const long = sources.flatMap((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      const lines = /\.(sql|py)$/.test(path)
        ? longLines(text, COLUMNS_MAX)
        : longTypeScriptLines(text, COLUMNS_MAX)
      return lines.map(({ line, columns }) => `${path}:${line} has ${columns}`)
    })
    expect(long).toEqual([])
  })

  test('whether it is a comment, SQL in a template, or code; a literal that cannot be broken may be longer', () => {
    const long = 'x'.repeat(120)
    const linesOf = (text: string) => longTypeScriptLines(text, COLUMNS_MAX).map(({ line }) => line)
    expect(linesOf(`// ${long}\n/**\n * ${long}\n */`)).toEqual([1, 3])
    expect(linesOf(`const sql = \`\n  select ${long}\n  from a where b = 'c'\``)).toEqual([2])
    expect(linesOf(`const ${long} = 1`)).toEqual([1])
    expect(linesOf(`const a = \`\${b ? \`{\${c}\` : ''}\`\nconst ${long} = {}`)).toEqual([2])
    expect(linesOf(`test('${long}', () => {\n  expect(a).toMatch(/${long}/)\n})`)).toEqual([])
    expect(linesOf(`// see https://example.com/${long}\n// biome-ignore lint/a/b: ${long}`)).toEqual([])
    expect(longLines(`select ${long}\nselect 1`, COLUMNS_MAX)).toEqual([{ line: 1, columns: 127 }])
  })
})
