import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const glossary = read('docs/glossary.md')
const sources = globSync(['{apps,packages,runners}/**/*.{ts,tsx,mjs,sql,py}'], {
  cwd: root,
  exclude: ['**/node_modules/**', '**/dist/**'],
}).map((path) => ({ path, text: read(path) }))

/** The rows of the glossary's tables with three columns, each word of "never" by itself. */
const rows = [...glossary.matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]*) ?\|$/gm)]
  .map(([, term = '', , never = '']) => ({ term: term.trim(), never: neverWords(never) }))
  .filter(({ term }) => term !== 'term' && !/^-+$/.test(term))

/**
 * Words of the column "never" that no identifier may hold, with the stems that count, and the places that
 * keep one, with the reason.
 */
const FORBIDDEN: Record<string, { stems: RegExp; except: { path: RegExp; reason: string }[] }> = {
  lane: {
    stems: /^lanes?$/,
    except: [
      {
        path: /^apps\/api\/(src\/webhooks\/|migrations\/|schema\.sql)/,
        reason: 'a column of webhook_delivery: what a delivery waits behind, which is no tier',
      },
    ],
  },
  front: { stems: /^fronts?$/, except: [] },
  foresight: { stems: /^fore(see|sees|seen|sight)$/, except: [] },
  production: { stems: /^productions?$/, except: [] },
  settling: { stems: /^settling$/, except: [] },
  scheduler: {
    stems: /^schedulers?$/,
    except: [
      {
        path: /^runners\/diffusers\/(tests|sluice_diffusers\/with_library)\//,
        reason: "the library's own: the part of a pipeline that makes a step of a prediction",
      },
    ],
  },
  turnstile: { stems: /^turnstiles?$/, except: [] },
  bell: { stems: /^bells?$/, except: [] },
}

/** Words of the column "never" that are right for another idea, so that only a reader can tell. */
const FOR_READERS: Record<string, string> = {
  user: "PostgreSQL's and the SDKs' word",
  release: 'a runner says `released`, and `cost.state` is `released`',
  rate: 'of requests, and a currency has none',
  job: "BullMQ's word for what carries an attempt, and an engine's for a video",
  task: 'no word of this code, but of libraries',
  reference: 'the field `input_reference`, and the page /docs',
  try: 'the keyword, and a try of a delivery',
  run: 'what programs do',
  retry: 'a new video that makes a failed one again; also what a client does with a call',
  round: 'of numbers and of benchmarks',
  hold: 'money',
  offer: 'the choice of models that an account has',
  attempt: 'one dispatch of a video; and a field of the deliveries that the API lists',
}

describe('docs/glossary.md', () => {
  test.each(rows)('has a term that stands in the code: $term', ({ term }) => {
    const wanted = new RegExp(`(?<![a-z])${words(term)}(s|d|ed|ing)?(?![a-z])`)
    expect(sources.some(({ text }) => wanted.test(spelledOut(text)))).toBe(true)
  })

  test('says of each word that is not used whether the test or a reader looks for it', () => {
    const never = rows.flatMap((row) => row.never)
    expect(new Set(never)).toEqual(new Set([...Object.keys(FORBIDDEN), ...Object.keys(FOR_READERS)]))
  })

  test('names no term twice', () => {
    expect(rows.map(({ term }) => term).sort()).toEqual([...new Set(rows.map(({ term }) => term))].sort())
    expect(rows.length).toBeGreaterThan(40)
  })
})

describe.each(Object.entries(FORBIDDEN))('the word "%s"', (_word, { stems, except }) => {
  test('names no file and stands in no identifier', () => {
    const found = sources
      .filter(({ path }) => !except.some((exception) => exception.path.test(path)))
      .flatMap(({ path, text }) => [
        ...partsOf(path)
          .filter((part) => stems.test(part))
          .map(() => path),
        ...identifiers(path, text)
          .filter(({ name }) => partsOf(name).some((part) => stems.test(part)))
          .map(({ name, line }) => `${path}:${line} ${name}`),
      ])
    expect(found).toEqual([])
  })

  test('has no exception that nothing needs', () => {
    for (const { path, reason } of except) {
      const inside = sources.filter((source) => path.test(source.path))
      const needed = inside.some((source) =>
        identifiers(source.path, source.text).some(({ name }) =>
          partsOf(name).some((part) => stems.test(part)),
        ),
      )
      expect(needed, reason).toBe(true)
    }
  })
})

test('identifiers are found in code and in SQL, not in comments and strings', () => {
  const text = `// lane\nconst laneOf = 'bell' /* front */\nconst sql = \`select head_lane from t\`\n`
  const names = identifiers('a.ts', text).map(({ name, line }) => `${line} ${name}`)
  expect(names).toEqual([
    '2 const',
    '2 laneOf',
    '3 const',
    '3 sql',
    '3 select',
    '3 head_lane',
    '3 from',
    '3 t',
  ])
  expect(identifiers('a.sql', `-- lane\nselect 'lane', a`).map(({ name }) => name)).toEqual(['select', 'a'])
  expect(identifiers('a.py', `# lane\na = "lane"`).map(({ name }) => name)).toEqual(['a'])
  expect(partsOf('perLaneOf_HEAD')).toEqual(['per', 'lane', 'of', 'head'])
})

/** The words of the last column: what stands in brackets explains one. */
function neverWords(cell: string): string[] {
  return cell
    .replaceAll(/\([^)]*\)/g, '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

/** A term as a pattern for text that `spelledOut` made; a verb in -y may end in -ies or -ied. */
function words(term: string): string {
  return term.toLowerCase().replaceAll(/\s+/g, ' +').replace(/y$/, '(y|ie)')
}

/**
 * Text in small letters whose identifiers are taken apart: `wakeSignal`, `wake_signal` and `wake-signal` read
 * `wake signal`.
 */
function spelledOut(text: string): string {
  return text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/[_-]/g, ' ')
    .toLowerCase()
}

function partsOf(name: string): string[] {
  return spelledOut(name)
    .split(/[^a-z0-9]+/)
    .filter((part) => part !== '')
}

/** What is left of a file without its comments and strings; what templates hold (SQL) counts. */
function identifiers(path: string, text: string): { name: string; line: number }[] {
  const blank = (match: string) => match.replaceAll(/[^\n]/g, ' ')
  const without = path.endsWith('.sql')
    ? text.replaceAll(/--[^\n]*|'[^'\n]*'/g, blank)
    : path.endsWith('.py')
      ? text.replaceAll(/"""[\s\S]*?"""|#[^\n]*|'[^'\n]*'|"[^"\n]*"/g, blank)
      : text.replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, blank)
  return without
    .split('\n')
    .flatMap((content, index) =>
      [...content.matchAll(/[A-Za-z_$][\w$]*/g)].map((match) => ({ name: match[0], line: index + 1 })),
    )
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
