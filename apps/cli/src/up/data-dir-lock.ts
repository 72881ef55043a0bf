import { link, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  isFrozen,
  isRunning,
  type ProcessIdentity,
  processSchema,
  startOf,
} from '../processes/process-identity.ts'
import { ChildrenList, endLeftChildren } from './children-list.ts'
import { UpError } from './errors.ts'

/** `sluice.7.pid`: the lock's seventh holder. */
const LOCK_NAME = /^sluice\.(\d+)\.pid$/
const CHILDREN_FILE = 'children.json'

export interface DataDirLock {
  /** The children that this supervisor runs, for the next one; `onProblem` hears that it is not kept. */
  children(onProblem: (error: Error) => void): ChildrenList
  /** Frees the data dir. Never throws: a lock that stays is taken over as soon as its process is gone. */
  release(): Promise<void>
}

/** The live process that holds the lock of the data dir, or null. */
export async function readLockHolder(dataDir: string): Promise<ProcessIdentity | null> {
  return (await readNewestLock(dataDir)).holder
}

/**
 * Locks the data dir for this process. A lock whose process is gone, or whose pid belongs to another process
 * now, is taken over; first the children it left behind are ended. Throws UpError that names the holder when
 * the dir is in use.
 */
export async function lockDataDir(dataDir: string, pid: number = process.pid): Promise<DataDirLock> {
  const path = await takeNextLock(dataDir, { pid, start: startOf(pid) ?? '' })
  const childrenPath = join(dataDir, CHILDREN_FILE)
  await endLeftChildren(childrenPath)
  return {
    children: (onProblem) => new ChildrenList(childrenPath, onProblem),
    async release() {
      const isKept = () => undefined
      await rm(childrenPath, { force: true }).catch(isKept)
      // Emptied, not removed: the number must not be given twice. Emptying needs no room on the disk.
      await truncate(path).catch(isKept)
    },
  }
}

/**
 * Files can be made only if absent, but not replaced only if unchanged: whoever removed a stale lock could
 * remove the lock of a faster one. So each holder has the next number, the highest number counts, and that
 * file is never removed. Returns the path of the lock.
 */
async function takeNextLock(dataDir: string, identity: ProcessIdentity): Promise<string> {
  const draft = join(dataDir, `sluice.pid.${identity.pid}`)
  try {
    await writeFile(draft, JSON.stringify(identity))
    for (;;) {
      const { number, holder } = await readNewestLock(dataDir)
      if (holder !== null) throw inUse(dataDir, holder)
      const own = number + 1
      const path = join(dataDir, `sluice.${own}.pid`)
      if (!(await linkIfAbsent(draft, path))) continue
      // Others may have taken and left higher numbers since the folder was read, and removed this one.
      const isNewest = (await readNewestLock(dataDir)).number === own
      await removeLocks(dataDir, (other) => (isNewest ? other < own : other === own))
      if (isNewest) return path
    }
  } finally {
    await rm(draft, { force: true })
  }
}

/** A link appears with its content or not at all, and only one of two processes can make it. */
function linkIfAbsent(from: string, to: string): Promise<boolean> {
  return link(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false
      throw error
    },
  )
}

/** The lock with the highest number and its holder, if that one is alive; number 0 when there is no lock. */
async function readNewestLock(dataDir: string): Promise<{ number: number; holder: ProcessIdentity | null }> {
  const number = Math.max(0, ...(await lockNumbers(dataDir)))
  const text = await readFile(join(dataDir, `sluice.${number}.pid`), 'utf8').catch(() => '')
  const parsed = processSchema.safeParse(parseJson(text))
  return { number, holder: parsed.success && isRunning(parsed.data) ? parsed.data : null }
}

async function lockNumbers(dataDir: string): Promise<number[]> {
  // A folder that cannot be read is no folder without locks.
  const names = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.flatMap((name) => LOCK_NAME.exec(name)?.[1] ?? []).map(Number)
}

async function removeLocks(dataDir: string, isRemoved: (number: number) => boolean): Promise<void> {
  for (const number of (await lockNumbers(dataDir)).filter(isRemoved)) {
    await rm(join(dataDir, `sluice.${number}.pid`), { force: true })
  }
}

function inUse(dataDir: string, { pid }: ProcessIdentity): UpError {
  const todo = isFrozen(pid)
    ? `which is suspended (Ctrl-Z?): "kill -CONT ${pid}" lets it go on, "kill -KILL ${pid}" ends it`
    : 'stop that "sluice up", or set SLUICE_DATA_DIR to another folder'
  return new UpError(
    `the data dir ${dataDir} is in use by process ${pid}${isFrozen(pid) ? ', ' : ': '}${todo}`,
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
