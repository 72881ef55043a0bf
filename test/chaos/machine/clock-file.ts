import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { requireProgram } from '../../support/debian-package.ts'

const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (arch) => `/usr/lib/${arch}/faketime/libfaketime.so.1`,
)

export interface ClockFile {
  /** What a process needs in its environment to have this clock. */
  env: Record<string, string>
  step(seconds: number): void
}

/**
 * A wall clock that can be stepped, by libfaketime (Debian's `faketime`, installed when it may be). The
 * monotonic clock stays true, as it does when an administrator sets the time.
 */
export async function createClockFile(dir: string): Promise<ClockFile | null> {
  if (process.platform !== 'linux') return null
  await requireProgram(['faketime'], 'faketime')
  const library = LIBRARIES.find((path) => existsSync(path))
  if (library === undefined) return null
  const file = join(dir, 'clock')
  const step = (seconds: number) => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}\n`)
  step(0)
  return {
    step,
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  }
}
