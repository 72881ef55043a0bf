import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'

const FD_DIR = '/proc/self/fd'

/** The files below `folder` that this process has open, once for each time it opened them. */
export function openFilesBelow(folder: string): string[] {
  return openPaths().filter((path) => path.startsWith(`${folder}/`))
}

function openPaths(): string[] {
  if (existsSync(FD_DIR)) {
    return readdirSync(FD_DIR).flatMap((fd) => {
      try {
        return [readlinkSync(`${FD_DIR}/${fd}`)]
      } catch {
        // Closed meanwhile, as the one that read this list.
        return []
      }
    })
  }
  // macOS has no /proc.
  return execFileSync('lsof', ['-p', String(process.pid), '-Fn'], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => (line.startsWith('n') ? [line.slice(1)] : []))
}
