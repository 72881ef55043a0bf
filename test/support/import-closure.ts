import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

export interface ImportClosure {
  /** Every file the entries load, as paths below the root. */
  files: ReadonlySet<string>
  /** Every package they load, with the files that ask for it. */
  packages: ReadonlyMap<string, readonly string[]>
}

/**
 * `import ... from 'x'`, `import 'x'`, `await import('x')`, `new URL('x', import.meta.url)`; no imports of
 * types.
 */
const LOADS = [
  /^(?:import|export)\s(?!type\b)[^'"]*?from\s+'([^']+)'/gm,
  /^import\s+'([^']+)'/gm,
  /\bimport\('([^']+)'\)/g,
  /new URL\('(\.[^']+\.ts)', import\.meta\.url\)/g,
]
const SHARED = '@sluice/shared/'

/** Follows the imports of `entries` (paths below `root`). Throws when a relative import leads nowhere. */
export function importClosure(root: string, entries: readonly string[]): ImportClosure {
  const files = new Set<string>()
  const packages = new Map<string, string[]>()
  const waiting = [...entries]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (files.has(path)) continue
    if (!existsSync(join(root, path))) throw new Error(`${path} does not exist`)
    files.add(path)
    const text = readFileSync(join(root, path), 'utf8')
    for (const specifier of LOADS.flatMap((pattern) =>
      [...text.matchAll(pattern)].map((match) => match[1] ?? ''),
    )) {
      if (specifier.startsWith('.')) waiting.push(relative(root, join(root, dirname(path), specifier)))
      else if (specifier.startsWith(SHARED)) {
        waiting.push(`packages/shared/src/${specifier.slice(SHARED.length)}.ts`)
      } else if (!specifier.startsWith('node:')) {
        const name = packageOf(specifier)
        packages.set(name, [...(packages.get(name) ?? []), path])
      }
    }
  }
  return { files, packages }
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
