import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * Installs npm packages into a folder of their own, for programs that need other versions than this
 * repository has. Each is `name@version`. When that fails, an error names the command to try.
 */
export async function installNodePackages(packages: readonly string[]): Promise<{ dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-npm-'))
  try {
    await writeFile(join(dir, 'package.json'), '{"private": true, "type": "module"}')
    await run(
      'npm',
      ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', dir, ...packages],
      { cwd: dir, maxBuffer: 16 * 1024 * 1024 },
    )
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(
      `the tests need a registry that npm reaches. Try: npm install ${packages.join(' ')}. The error: ${message}`,
    )
  }
  return { dir }
}
