import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A file system of its own, small enough to be filled. */
export interface SmallDisk {
  /** Takes all the room there is. */
  fill(): void
  /** Gives back what `fill` took. */
  free(): void
}

const BLOCK = Buffer.alloc(4_096)

/** Mounts an empty file system at `path`, which is made, until the test is finished. */
export function mountSmallDisk(path: string, kib: number): SmallDisk {
  mkdirSync(path, { recursive: true })
  mount(path, kib)
  onTestFinished(() => unmount(path))
  const filler = join(path, 'filler')
  return {
    fill() {
      try {
        for (;;) appendFileSync(filler, BLOCK)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
      }
    },
    free: () => rmSync(filler),
  }
}

/**
 * Whether this process has the right to mount; a container without it has no other way to a file system that
 * is really full.
 */
export function mayMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'sluice-mount-'))
  try {
    mount(path, 4)
    unmount(path)
    return true
  } catch {
    return false
  } finally {
    rmdirSync(path)
  }
}

function mount(path: string, kib: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'tmpfs', path], { stdio: 'pipe' })
}

/** Lazily, since a process that was just killed may still have a file open. */
function unmount(path: string): void {
  execFileSync('umount', ['--lazy', path], { stdio: 'pipe' })
}
