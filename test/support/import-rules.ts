import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { LAYERS } from './layers.ts'

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

interface Rule {
  rule: string
  from: RegExp
  /** Repository paths (or package names) that files matching `from` may not import. */
  not: RegExp
}

/** What the layers do not say: between programs, and which package may be used where. */
const RULES: readonly Rule[] = [
  { rule: 'packages import no apps', from: /^packages\//, not: /^(apps|runners)\// },
  { rule: 'the worker never imports another app', from: /^apps\/worker\//, not: /^apps\/(?!worker\/)/ },
  { rule: 'the API never imports another app', from: /^apps\/api\//, not: /^apps\/(?!api\/)/ },
  { rule: 'the command line speaks HTTP only', from: /^apps\/cli\//, not: /^apps\/(?!cli\/)/ },
  { rule: 'the console speaks HTTP only', from: /^apps\/console\//, not: /^apps\/(?!console\/)/ },
  { rule: 'runners speak the runner protocol only', from: /^runners\//, not: /^apps\// },
  { rule: 'programs do not import tests', from: /^(apps|packages|runners)\//, not: /^test\// },
  { rule: 'another package is imported by its name', from: /^(apps|runners)\//, not: /^packages\/.*\.tsx?$/ },
  {
    // The disk store answers its signed URLs itself, as an S3 server would.
    rule: 'express is known to HTTP, the routes and the disk store alone',
    from: /^apps\/api\/src\/(?!(http|routes|storage)\/|app\.ts|services\.ts)/,
    not: /^express$/,
  },
  {
    rule: 'a route opens no transaction, runs no SQL and writes no audit',
    from: /^apps\/api\/src\/routes\//,
    not: /^apps\/api\/src\/(db\/|audit\/record-change)/,
  },
  {
    rule: 'the token count and the figures are pure',
    from: /^packages\/shared\/src\/(token-count|economics\/[\w-]+)\.ts$/,
    not: /^(node:|pg$)/,
  },
  {
    rule: "the gate's rules are pure",
    from: /^packages\/gate\/src\/(?!.*\.test\.ts$)/,
    not: /^(?!packages\/gate\/|@sluice\/shared\/)/,
  },
  { rule: "only the API's code touches its tables", from: /^apps\/worker\//, not: /^pg$/ },
]

/** Static, dynamic and re-exporting imports; a string that is only a path to a program is none. */
const IMPORT =
  /(?:^|[\s;])(?:import|export)\s(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g

/** Every import that goes where it may not, every room that is not listed, and every circle of files. */
export function findViolations(files: readonly SourceFile[]): Violation[] {
  const imports = new Map(files.map((file) => [file.path, importsOf(file)]))
  const found = [...imports].flatMap(([path, targets]) => [
    ...unlistedRooms(path),
    ...targets.flatMap((target) => [...brokenRules(path, target), ...brokenLayers(path, target)]),
  ])
  return [...found, ...findCircles(imports)]
}

function brokenRules(path: string, target: string): Violation[] {
  if (isTest(path) && mayBeTested(path, target)) return []
  return RULES.filter(({ from, not }) => from.test(path) && not.test(target)).map(({ rule }) => ({
    file: path,
    imports: target,
    rule,
  }))
}

interface Room {
  program: string
  name: string
}

/** The rooms a file stands in: one in each list of `LAYERS` whose folder holds it. */
function roomsOf(path: string): Room[] {
  return Object.keys(LAYERS)
    .filter((program) => path.startsWith(`${program}/`))
    .map((program) => ({ program, name: path.slice(program.length + 1).split('/')[0] ?? '' }))
}

function unlistedRooms(path: string): Violation[] {
  if (isTest(path)) return []
  return roomsOf(path)
    .filter(({ program, name }) => LAYERS[program]?.includes(name) !== true)
    .map(({ program, name }) => ({
      file: path,
      imports: '',
      rule: `${name} is no room of ${program}: list it in test/support/layers.ts`,
    }))
}

/** Rooms import downwards only, so no two of them can import each other. */
function brokenLayers(path: string, target: string): Violation[] {
  if (isTest(path)) return []
  const targets = roomsOf(target)
  return roomsOf(path).flatMap((from) => {
    const to = targets.find(({ program }) => program === from.program)
    if (to === undefined || to.name === from.name) return []
    const layers = LAYERS[from.program] ?? []
    if (layers.indexOf(to.name) < layers.indexOf(from.name)) return []
    return [
      { file: path, imports: target, rule: `${from.name} stands below ${to.name} and may not import it` },
    ]
  })
}

/** Circles of files, each named once by its first file; imports of types count as all others. */
function findCircles(imports: ReadonlyMap<string, readonly string[]>): Violation[] {
  const done = new Set<string>()
  const circles: Violation[] = []
  const walk = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) {
      const circle = [...trail.slice(trail.indexOf(file)), file]
      circles.push({ file, imports: circle.slice(1).join(' -> '), rule: 'no circle of files' })
      return
    }
    if (done.has(file)) return
    for (const target of imports.get(file) ?? []) if (imports.has(target)) walk(target, [...trail, file])
    done.add(file)
  }
  for (const file of imports.keys()) walk(file, [])
  return circles
}

function isTest(path: string): boolean {
  return /\.test\.tsx?$|^(apps|runners)\/[\w-]+\/test\//.test(path)
}

/** A test may use the tests' own support and embedded PostgreSQL's starter, never another app's workings. */
function mayBeTested(path: string, target: string): boolean {
  return (
    /^test\/support\//.test(target) ||
    /^apps\/cli\/src\/embedded-postgres\//.test(target) ||
    (path.startsWith('apps/worker/') && !target.startsWith('apps/'))
  )
}

function importsOf({ path, text }: SourceFile): string[] {
  return [...text.matchAll(IMPORT)].map((match) => resolveImport(path, match[1] ?? match[2] ?? ''))
}

/** A repository path for what stands in the repository, else the package's name. */
function resolveImport(from: string, specifier: string): string {
  if (specifier.startsWith('.')) return normalize(join(dirname(from), specifier))
  const workspace = /^(?:@sluice\/(\w+)|sluice)(?:\/(.+))?$/.exec(specifier)
  if (workspace === null) return specifier
  const name = workspace[1] ?? 'cli'
  return name === 'shared' || name === 'runner' || name === 'gate'
    ? specifier
    : `apps/${name}/${workspace[2] ?? ''}`
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
