import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BUILT_IN_MODELS } from '@sluice/shared/models/built-in-models'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Where what a model makes may stand as a literal, and why. */
const ALLOWED: readonly [path: RegExp, reason: string][] = [
  [/^packages\/shared\/src\/models\/built-in\//, 'the entries themselves'],
  [/^runners\/open-sora\//, 'makes Open-Sora alone, and is set up by its configuration'],
  [/^runners\/python\/sluice_runner\//, 'what holds for a model that no catalogue describes'],
  [/^apps\/cli\/src\/doctor\/check-open-sora\.ts$/, "the memory that Open-Sora's README names"],
  [/^apps\/api\/migrations\//, 'history'],
  [/^apps\/cli\/src\/plan\/example-plan\.ts$/, 'an example that is printed'],
  [/^apps\/console\/src\/prompt\/some-model\.ts$/, 'a model of the tests'],
]
/** What documents a value by an example does not depend on it. */
const EXAMPLES = /\bexample: |^\s*\*|^\s*\/\/|^\s*\/\*\*|openapi-examples/

const resolutions = [...new Set(BUILT_IN_MODELS.flatMap((model) => model.resolutions))]
const KNOWLEDGE: readonly [what: string, pattern: RegExp][] = [
  ['a resolution class', new RegExp(`['"\`](${resolutions.join('|')})['"\`]`)],
  ['the longest clip of a model', /(?<![\d.])129(?![\d.])/],
  ['a frame rule', /['"`\s(]([468]k ?\+ ?1|24n ?\+ ?1)\b|% ?4 [!=]==? [01]\b/],
]

/** `path:line what` for each line that knows what only an entry of the catalogue should. */
function knowers(files: readonly { path: string; text: string }[]): string[] {
  return files
    .filter(({ path }) => !ALLOWED.some(([allowed]) => allowed.test(path)))
    .flatMap(({ path, text }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          EXAMPLES.test(line) || EXAMPLES.test(path)
            ? []
            : KNOWLEDGE.filter(([, pattern]) => pattern.test(line)).map(
                ([what]) => `${path}:${index + 1} ${what}`,
              ),
        ),
    )
}

test('nothing but the entries of the catalogue knows the classes, lengths and frame rules of a model', () => {
  const files = globSync('{apps,packages,runners}/**/*.{ts,tsx,mjs,sql,py}', {
    cwd: root,
    exclude: [
      '**/node_modules/**',
      '**/dist/**',
      '**/*.test.ts',
      '**/tests/**',
      '**/runner_tests/**',
      'apps/api/schema.sql',
    ],
  }).map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
  expect(files.length).toBeGreaterThan(300)
  expect(knowers(files)).toEqual([])
})

test('a line that knows is found, and one that shows an example is not', () => {
  const found = (text: string, path = 'apps/api/src/a.ts') => knowers([{ path, text }]).length
  expect(found("if (resolution === '768px') {}")).toBe(1)
  expect(found('const FRAMES_MAX = 129')).toBe(1)
  expect(found("const allowed = '4k+1 up to 9'")).toBe(1)
  expect(found('if ((frames - 1) % 4 !== 0) {}')).toBe(1)
  expect(found("name: z.string().meta({ example: '256px' })")).toBe(0)
  expect(found('const FRAMES_MAX = 129', 'packages/shared/src/models/built-in/open-sora.ts')).toBe(0)
})

test('every exception still stands somewhere', () => {
  const paths = globSync('{apps,packages,runners}/**/*.{ts,tsx,sql,py}', {
    cwd: root,
    exclude: ['**/node_modules/**'],
  })
  for (const [allowed, reason] of ALLOWED)
    expect(
      paths.some((path) => allowed.test(path)),
      reason,
    ).toBe(true)
})
