import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** Debian installs servers here, which is on root's search path only. */
const SERVER_FOLDERS = ['/usr/local/sbin', '/usr/sbin']

/**
 * The absolute path of the first of `programs` on the search path. When there is none, Debian's `packageName`
 * is installed if we are root and have apt-get; otherwise an error names the command to run. A test is never
 * skipped for want of a program.
 */
export async function requireProgram(programs: readonly string[], packageName: string): Promise<string> {
  const found = await findProgram(programs)
  if (found !== null) return found
  if (process.getuid?.() === 0 && (await findProgram(['apt-get'])) !== null) {
    const before = installing
    installing = before.catch(() => undefined).then(() => install(packageName))
    await installing
    const installed = await findProgram(programs)
    if (installed !== null) return installed
  }
  throw new Error(
    `the tests need ${programs.join(' or ')}. ` +
      `Run: sudo apt-get update && sudo apt-get install -y ${packageName}`,
  )
}

/** The absolute path of the first of `programs` that is on the search path, or null. */
async function findProgram(programs: readonly string[]): Promise<string | null> {
  for (const program of programs) {
    for (const folder of [...(process.env.PATH ?? '').split(delimiter), ...SERVER_FOLDERS]) {
      const path = join(folder, program)
      if (folder === '') continue
      const isExecutable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (isExecutable) return path
    }
  }
  return null
}

/** One installation at a time: apt does not wait for all of its locks. */
let installing: Promise<unknown> = Promise.resolve()

async function install(packageName: string): Promise<void> {
  process.stderr.write(`installing Debian's ${packageName} for the tests\n`)
  const apt = (...args: string[]) =>
    run('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      maxBuffer: 64 * 1024 * 1024,
    })
  const wanted = ['install', '-y', '--no-install-recommends', packageName]
  // The package lists may be missing or out of date: update them only when the installation fails.
  await apt(...wanted).catch(async () => {
    await apt('update')
    await apt(...wanted)
  })
}
