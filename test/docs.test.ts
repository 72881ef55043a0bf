import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseCatalogue } from '@sluice/shared/catalogue-file'
import { ANIMATIC } from '@sluice/shared/models/built-in/animatic'
import { generatedTokens, videoTokens } from '@sluice/shared/token-count'
import { describe, expect, test } from 'vitest'
import { ALL_ROUTES } from '../apps/api/src/routes/all-routes.ts'
import { LAYERS } from './support/layers.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const ignored = ['**/node_modules/**', '**/dist/**', '.sluice*/**']
const pages = globSync(
  ['*.md', '.github/**/*.md', 'docs/**/*.md', 'apps/**/*.md', 'packages/**/*.md', 'runners/**/*.md'],
  { cwd: root, exclude: ignored },
).map((path) => ({ path, text: read(path) }))
const readme = read('README.md')
const settings = read('docs/settings.md')
const architecture = read('ARCHITECTURE.md')
const tests = globSync(['{apps,packages,runners,test}/**/*.test.{ts,tsx}'], { cwd: root, exclude: ignored })
  .filter((path) => path !== 'test/docs.test.ts')
  .map((path) => ({ path, text: read(path) }))
const programs = globSync(['{apps,packages,runners,bench}/**/*.{ts,tsx,mjs,py}'], {
  cwd: root,
  exclude: ignored,
})
  .filter((path) => !/\.test\.|\/test-|_test\.|\/tests\//.test(path))
  .map((path) => ({ path, text: read(path) }))

describe.each(pages)('$path', ({ path, text }) => {
  test('links to files that exist', () => {
    const targets = [...text.matchAll(/\]\(([^)\s]+)\)|<img[^>]*\ssrc="([^"]+)"/g)].map(
      (match) => match[1] ?? match[2] ?? '',
    )
    for (const target of targets.filter((candidate) => !/^(https?:|#)/.test(candidate))) {
      expect(existsSync(join(root, dirname(path), target.replace(/#.*$/, ''))), target).toBe(true)
    }
  })

  test('names files that exist', () => {
    const named = [
      ...text.matchAll(/(?<![\w./-])((?:apps|packages|runners|test|docs|bench)\/[\w./-]+)/g),
    ].map((match) => match[1] ?? '')
    for (const name of named)
      expect(existsSync(join(root, normalize(name.replace(/[.,]$/, '')))), name).toBe(true)
  })

  test('names npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json'))
    for (const [, name = ''] of text.matchAll(/npm run ([\w:-]+)/g))
      expect(Object.keys(scripts), name).toContain(name)
  })

  test.each([...text.matchAll(/npx vitest run --project [^`\n]*/g)].map(String))(
    'names a test that exists: %s',
    (command) => {
      const {
        project = '',
        file = '',
        title = '',
      } = /--project (?<project>[\w-]+)(?: (?<file>[\w./-]+))?(?: -t "(?<title>[^"]+)")?$/.exec(command)
        ?.groups ?? {}
      const candidates = tests.filter(({ path }) => folderOf(project).test(path) && path.startsWith(file))
      expect(candidates, 'test files').not.toEqual([])
      // -t is a regular expression; of its special characters only the full stop stands for itself too.
      expect(title).toMatch(/^[\w ,:.-]*$/)
      expect(
        candidates.some((candidate) => candidate.text.includes(title)),
        'a title that holds it',
      ).toBe(true)
    },
  )

  test('names settings that some program reads', () => {
    const named = new Set([...text.matchAll(/\bSLUICE_[A-Z0-9_]+/g)].map((match) => match[0]))
    for (const name of named)
      expect(
        programs.some((program) => program.text.includes(name)),
        name,
      ).toBe(true)
  })
})

describe('docs/settings.md', () => {
  const sources = globSync(
    [
      '{apps/api,apps/worker,runners/animatic,runners/engine}/src/**/*.ts',
      'packages/shared/src/engine-settings.ts',
    ],
    { cwd: root },
  ).filter((path) => !path.endsWith('.test.ts'))

  test('names every setting that the API, the worker and their runners in TypeScript read', () => {
    const names = sources.flatMap((path) =>
      [...read(path).matchAll(/'((?:SLUICE_[A-Z0-9_]+|HOST|PORT|REDIS_URL))'/g)].map(
        (match) => match[1] ?? '',
      ),
    )
    expect(names.length).toBeGreaterThan(20)
    // One that ends in _ is a prefix of several.
    for (const name of new Set(names.filter((candidate) => !candidate.endsWith('_'))))
      expect(settings, name).toContain(`\`${name}\``)
  })

  test('names no setting twice for one program, and none that no program reads', () => {
    for (const program of settings.split(/^## /m).slice(1)) {
      const cells = [...program.matchAll(/^\| ([^|]+) \| [^|]+ \| [^|]+ \|$/gm)].map(
        (match) => match[1] ?? '',
      )
      const named = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? ''))
      expect(new Set(named).size, program).toBe(named.length)
      // The SDK of S3 reads AWS's own.
      for (const name of named.filter((candidate) => !candidate.startsWith('AWS_')))
        expect(
          programs.some(({ text }) => text.includes(name)),
          name,
        ).toBe(true)
    }
  })
})

describe('README.md', () => {
  test('counts the worked example as the program does', () => {
    const clip = { width: 336, height: 192, frames: 129 }
    const inWords = (count: bigint) => new Intl.NumberFormat('en-US').format(count)
    expect(readme).toContain(
      `${inWords(videoTokens(ANIMATIC.tokens, clip))} x 50 steps = ${inWords(generatedTokens(ANIMATIC.tokens, clip, 50))} generated tokens`,
    )
  })

  test('makes .env with the line of docker-compose.yml', () => {
    const line = /^\s*(\(umask 077; .*> \.env\))$/m.exec(readme)?.[1] ?? 'no line'
    expect(read('docker-compose.yml')).toContain(line)
  })

  test('lists as missing only calls that the API does not answer', () => {
    const missing = /## What is not there yet\n([\s\S]*?)\n## /.exec(readme)?.[1] ?? ''
    const named = [...missing.matchAll(/`(\/[\w/{}.]+)`/g)].map((match) => match[1] ?? '')
    for (const path of named)
      expect(
        ALL_ROUTES.map((route) => route.path),
        `${path} is there now`,
      ).not.toContain(path)
    expect(missing, 'the Open-Sora runner is there now').not.toContain('Open-Sora runner')
  })
})

test('docs/models.md and docs/gpu-worker.md show catalogues that are taken', () => {
  const [block = ''] = /(?<=```json\n)[\s\S]*?(?=```)/.exec(read('docs/models.md')) ?? []
  const idsOf = (text: string) => parseCatalogue('models.json', text).models.map((model) => model.id)
  expect(idsOf(block)).toEqual(['open-sora-2', 'animatic', 'ink-wash', 'studio'])
  const [onTheHost = ''] = /\{"models": \[[\s\S]*?\n\s*\{[^\n]*\]\}/.exec(read('docs/gpu-worker.md')) ?? []
  expect(idsOf(onTheHost)).toEqual(['open-sora-2', 'animatic', 'studio', 'ink'])
})

test('docs/command-line.md lists every command and every exit code', () => {
  const page = read('docs/command-line.md')
  const sources = globSync('apps/cli/src/**/*.ts', { cwd: root }).filter((path) => !path.endsWith('.test.ts'))
  const commands = sources.flatMap((path) =>
    [...read(path).matchAll(/program\s*\.command\('(\w+)'\)/g)].map((match) => match[1] ?? ''),
  )
  expect(commands.length).toBeGreaterThan(7)
  for (const command of commands) expect(page, command).toMatch(new RegExp(`^\\|.*\`${command}\`.*\\|`, 'm'))
  const codes = [...read('apps/cli/src/exit-codes.ts').matchAll(/_EXIT = (\d+)/g)].map((match) => match[1])
  const listed = [...page.matchAll(/^\| (\d+) \|/gm)].map((match) => match[1])
  expect(listed).toEqual(['0', '1', ...codes])
})

describe('ARCHITECTURE.md', () => {
  const rows = [...architecture.matchAll(/^\| (\d+) \| (.*) \| (.*) \| "([^"]+)" \|$/gm)].map(
    ([, number = '', , enforcer = '', title = '']) => ({ number, enforcer, title }),
  )

  test('numbers the invariants without a gap, each with the file that enforces it', () => {
    expect(rows.map((row) => Number(row.number))).toEqual(rows.map((_, index) => index + 1))
    expect(rows.length).toBeGreaterThanOrEqual(20)
    for (const { number, enforcer } of rows) expect(enforcer, number).toMatch(/\]\(|^the same$/)
  })

  test.each(rows)('shows invariant $number by a test that exists', ({ title }) => {
    expect(
      tests.some(({ text }) => text.includes(title)),
      title,
    ).toBe(true)
  })

  test('draws the changes of state that the program allows, and no other', () => {
    const table =
      /const FOLLOWERS[^{]*\{([\s\S]*?)\n\}/.exec(read('apps/api/src/videos/transition.ts'))?.[1] ?? ''
    const allowed = [...table.matchAll(/(\w+): \[([^\]]*)\]/g)].flatMap(([, from, to = '']) =>
      [...to.matchAll(/'(\w+)'/g)].map((match) => `${from} --> ${match[1]}`),
    )
    const drawn = [...architecture.matchAll(/^ {4}(\w+ --> \w+):/gm)].map((match) => match[1])
    expect(allowed.length).toBeGreaterThan(10)
    expect([...drawn].sort()).toEqual([...allowed].sort())
  })

  test('lists the rooms of the API from the top down, as the import rules have them', () => {
    const [table = ''] = /(?<=\n## Rooms\n)[\s\S]*?(?=\n\| program \|)/.exec(architecture) ?? []
    const listed = [...table.matchAll(/\]\(apps\/api\/src\/([\w.-]+)\)(?=[^\n]*\|)/g)].map(
      (match) => match[1] ?? '',
    )
    // What puts the rooms together, and what all of them may use, stands in the text.
    const aside = ['main.ts', 'start-api.ts', 'compose.ts', 'app.ts', 'errors.ts', 'log.ts', 'text-field.ts']
    const rooms = (LAYERS['apps/api/src'] ?? []).filter((room) => !aside.includes(room))
    expect(listed).toEqual(rooms.toReversed())
  })

  test('lists every kind of ledger account', () => {
    const ledger = globSync('apps/api/src/ledger/*.ts', { cwd: root }).map(read).join('')
    const kinds = [...ledger.matchAll(/(?:OWNED|SYSTEM)_KINDS = \[([^\]]+)\]/g)].flatMap((match) =>
      [...(match[1] ?? '').matchAll(/'(\w+)'/g)].map((kind) => kind[1]),
    )
    for (const page of [architecture, read('apps/api/src/ledger/README.md')]) {
      expect(
        [...page.matchAll(/^\| `(\w+)` \| (?:an account|the installation) \|/gm)].map((match) => match[1]),
      ).toEqual(kinds)
    }
  })
})

/** Where a vitest project's tests lie. */
function folderOf(project: string): RegExp {
  if (project === 'unit') return /^(apps|packages|runners)\/|^test\/[^/]+$|^test\/support\//
  return new RegExp(`^test/${project.startsWith('integration-') ? '(integration|conformance)' : project}/`)
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
