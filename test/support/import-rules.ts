import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

export interface Violation {
  file: string
  imports: string
  rule: string
}

export interface SourceFile {
  /** From the repository root, with slashes. */
  path: string
  text: string
}

/** The API's domain folders; routes may use them, they never use routes or http. */
const DOMAINS = [
  'videos',
  'ledger',
  'storage',
  'keys',
  'gate',
  'attempts',
  'webhooks',
  'outgoing',
  'economics',
  'production',
  'metrics',
  'accounts',
  'audit',
  'workers',
]

interface Rule {
  rule: string
  from: RegExp
  /** Repository paths (or package names) that files matching `from` may not import. */
  not: RegExp
  except?: RegExp
}

const sibling = (own: string) => DOMAINS.filter((name) => name !== own).join('|')

/** Imports only go down. A test may use what it tests against. */
const RULES: readonly Rule[] = [
  { rule: 'packages import no apps', from: /^packages\//, not: /^(apps|runners)\// },
  { rule: 'the worker never imports another app', from: /^apps\/worker\//, not: /^apps\/(?!worker\/)/ },
  { rule: 'the API never imports another app', from: /^apps\/api\//, not: /^apps\/(?!api\/)/ },
  { rule: 'the command line speaks HTTP only', from: /^apps\/cli\//, not: /^apps\/(?!cli\/)/ },
  { rule: 'the console speaks HTTP only', from: /^apps\/console\//, not: /^apps\/(?!console\/)/ },
  { rule: 'runners speak the runner protocol only', from: /^runners\//, not: /^apps\// },
  { rule: 'programs do not import tests', from: /^(apps|packages|runners)\//, not: /^test\// },
  {
    rule: 'domain folders know no routes',
    from: new RegExp(`^apps/api/src/(${DOMAINS.join('|')}|db)/`),
    not: /^apps\/api\/src\/(routes|http)\//,
  },
  {
    // The disk store serves its signed URLs itself, as an S3 server would.
    rule: 'domain folders know no HTTP',
    from: new RegExp(`^apps/api/src/(${sibling('storage')}|db)/`),
    not: /^express$/,
  },
  {
    rule: 'the database layer imports no domain',
    from: /^apps\/api\/src\/db\//,
    not: new RegExp(`^apps/api/src/(${DOMAINS.join('|')})/`),
  },
  {
    rule: 'the ledger imports no sibling domain',
    from: /^apps\/api\/src\/ledger\//,
    not: new RegExp(`^apps/api/src/(${sibling('ledger')})/`),
  },
  {
    rule: 'token count and economics are pure',
    from: /^(packages\/shared\/src\/token-count\.ts$|apps\/api\/src\/economics\/)/,
    not: /^(node:|pg$|kysely$)/,
  },
  { rule: "only the API's code touches its tables", from: /^apps\/worker\//, not: /^(pg|kysely)$/ },
]

/** Static and dynamic imports, and re-exports; a string that is only the path of a program is no import. */
const IMPORT =
  /(?:^|[\s;])(?:import|export)\s(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g
const BARREL =
  /^(?:\s|\/\*[\s\S]*?\*\/|\/\/.*\n|export\s(?:type\s)?(?:\*|\{[^}]*\})(?:\sas\s\w+)?\sfrom\s['"][^'"]+['"];?)+$/

/** Every import that breaks a rule, and every file that only re-exports other files. */
export function findViolations(files: readonly SourceFile[]): Violation[] {
  return files.flatMap(({ path, text }) => {
    const isTest = /\.test\.tsx?$|\/test-|-fixture/.test(path)
    const imports = [...text.matchAll(IMPORT)].map((match) => resolveImport(path, match[1] ?? match[2] ?? ''))
    const found = imports.flatMap((target) =>
      RULES.filter(
        ({ from, not }) => from.test(path) && not.test(target) && !(isTest && mayBeTested(path, target)),
      ).map(({ rule }) => ({ file: path, imports: target, rule })),
    )
    return BARREL.test(text)
      ? [...found, { file: path, imports: '', rule: 'no barrels: import from the file itself' }]
      : found
  })
}

/** A test may use test/support and the start of embedded PostgreSQL, but no other code of another app. */
function mayBeTested(path: string, target: string): boolean {
  return (
    /^test\/support\//.test(target) ||
    /^apps\/cli\/src\/embedded-postgres\//.test(target) ||
    (path.startsWith('apps/worker/') && !target.startsWith('apps/'))
  )
}

function resolveImport(from: string, specifier: string): string {
  if (specifier.startsWith('.')) return normalize(join(dirname(from), specifier))
  const workspace = /^(?:@sluice\/(\w+)|sluice)(?:\/|$)/.exec(specifier)
  if (workspace === null) return specifier
  const name = workspace[1] ?? 'cli'
  return specifier
    .replace(/^(@sluice\/\w+|sluice)/, name === 'shared' ? 'packages/shared' : `apps/${name}`)
    .concat('/')
}

/** The repository's TypeScript under apps, packages and runners. */
export function readSources(root: string): SourceFile[] {
  return ['apps', 'packages', 'runners'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|tsx|mts)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !/\/(node_modules|dist)\//.test(path))
      .map((path) => ({ path: path.slice(join(root, '/').length), text: readFileSync(path, 'utf8') })),
  )
}
