import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A virtual environment of the test run. */
export interface PythonEnvironment {
  /** Its python, as an absolute path. */
  python: string
  dir: string
}

/**
 * Makes a virtual environment and installs the newest `packages` into it with pip. When that fails, an error
 * names the command to try: a test is never skipped for want of a package.
 */
export async function createPythonEnvironment(packages: readonly string[]): Promise<PythonEnvironment> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-python-'))
  const python = join(dir, 'bin', 'python')
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--upgrade', ...packages]
  try {
    await run('python3', ['-m', 'venv', dir])
    // With the whole environment, which may configure package indexes and proxies.
    await run(python, install, { env: process.env, maxBuffer: 16 * 1024 * 1024 })
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(
      "the tests need Python's venv and a package index that pip reaches. " +
        `Try: python3 -m venv /tmp/try && /tmp/try/bin/pip install ${packages.join(' ')}; ` +
        'where venv is missing: sudo apt-get update && sudo apt-get install -y python3-venv. ' +
        `The error: ${message}`,
    )
  }
  return { python, dir }
}
