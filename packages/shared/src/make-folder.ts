import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder that an operator named, and those above it, unless it is there; `mode` is that of each
 * folder made. Throws what the file system throws. Node's own recursive `mkdir` never ends where a parent can
 * be named and not made, such as below /proc (seen with Node 20 and 24).
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path || (await isThere(parent))) throw error
    await makeFolder(parent, mode)
    await makeFolder(path, mode)
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
