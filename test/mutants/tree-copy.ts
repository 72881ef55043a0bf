import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A copy of the working tree, so that a change never touches the tree that somebody works in. */
export interface TreeCopy {
  root: string
  remove(): void
}

/** Copies what git knows or would add, and what was built; node_modules by hard links, in a second. */
export function copyTree(from: string): TreeCopy {
  const root = mkdtempSync(join(tmpdir(), 'sluice-mutants-'))
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: from,
    encoding: 'utf8',
  })
  for (const file of files.split('\0')) {
    if (file === '' || !existsSync(join(from, file))) continue
    mkdirSync(dirname(join(root, file)), { recursive: true })
    cpSync(join(from, file), join(root, file))
  }
  const modules = ['', ...workspaces(from)].map((folder) => join(folder, 'node_modules'))
  for (const folder of [...modules, 'apps/console/dist']) {
    if (existsSync(join(from, folder)))
      execFileSync('cp', ['-al', join(from, folder), join(root, folder)], { stdio: 'pipe' })
  }
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) }
}

function workspaces(from: string): string[] {
  return ['apps', 'packages', 'runners'].flatMap((folder) =>
    readdirSync(join(from, folder)).map((name) => join(folder, name)),
  )
}
