import { existsSync } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const MIB = 1_048_576

/** A cgroup with a limit of memory, as a container has. */
export interface MemoryCage {
  /** Writing a process id here puts it inside. */
  door: string
  /** The most memory that was in use inside, in MiB, files that could be dropped included. */
  peakMib(): Promise<number>
  /** Once nobody is inside any more. */
  remove(): Promise<void>
}

const VERSION_2 = '/sys/fs/cgroup/cgroup.controllers'
const NAMES = existsSync(VERSION_2)
  ? { root: '/sys/fs/cgroup', limit: 'memory.max', swap: 'memory.swap.max', peak: 'memory.peak' }
  : {
      root: '/sys/fs/cgroup/memory',
      limit: 'memory.limit_in_bytes',
      swap: 'memory.memsw.limit_in_bytes',
      peak: 'memory.max_usage_in_bytes',
    }

/** Makes one. Throws where cgroups may not be made: it takes Linux and root. */
export async function openMemoryCage(mib: number): Promise<MemoryCage> {
  const dir = join(NAMES.root, `sluice-bench-${process.pid}-${mib}`)
  await mkdir(dir)
  await writeFile(join(dir, NAMES.limit), String(mib * MIB))
  // What is swapped out would not count.
  const swapMax = existsSync(VERSION_2) ? 0 : mib * MIB
  await writeFile(join(dir, NAMES.swap), String(swapMax)).catch(() => {})
  return {
    door: join(dir, 'cgroup.procs'),
    peakMib: async () => Number(await readFile(join(dir, NAMES.peak), 'utf8')) / MIB,
    remove: () => rmdir(dir),
  }
}
