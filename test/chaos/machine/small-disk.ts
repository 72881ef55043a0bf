import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

const BLOCK = Buffer.alloc(1024 * 1024)

/** A disk of its own, which a fault can fill. */
export interface SmallDisk {
  /** Folders of the service that lie on it, for the log. */
  name: string
  /** Takes all the room there is. */
  fill(): void
  free(): void
  unmount(): void
}

/**
 * Mounts a disk in memory at `mountPoint` and makes each of `folders` a link to a folder on it. Null where
 * this process may not mount.
 */
export function mountSmallDisk(
  name: string,
  mountPoint: string,
  mebibytes: number,
  folders: readonly string[],
): SmallDisk | null {
  mkdirSync(mountPoint, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', mountPoint], { stdio: 'pipe' })
  } catch {
    return null
  }
  folders.forEach((folder, index) => {
    const place = join(mountPoint, String(index))
    mkdirSync(place, { mode: 0o700 })
    mkdirSync(dirname(folder), { recursive: true })
    symlinkSync(place, folder)
  })
  const filler = join(mountPoint, 'filler')
  return {
    name,
    fill: () => {
      const file = openSync(filler, 'a')
      try {
        for (const block of [BLOCK, BLOCK.subarray(0, 4_096)]) writeUntilFull(file, block)
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(filler, { force: true }),
    // Lazily, since a process that was just killed may still have a file open.
    unmount: () => {
      execFileSync('umount', ['--lazy', mountPoint], { stdio: 'pipe' })
    },
  }
}

function writeUntilFull(file: number, block: Buffer): void {
  try {
    for (;;) if (writeSync(file, block) < block.length) return
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
