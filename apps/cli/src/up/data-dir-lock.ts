import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isAlive, startOf } from '../processes/process-identity.ts'
import { sendSignal, waitUntilGone } from '../processes/stop-process.ts'
import { UpError } from './errors.ts'

const processSchema = z.object({ pid: z.int().positive(), start: z.string() })
/** A process and its start, so that a later process with the same pid is not taken for it. */
type ProcessIdentity = z.infer<typeof processSchema>

const LOCK_FILE = 'sluice.pid'
const CHILDREN_FILE = 'children.json'

export interface DataDirLock {
  /**
   * Records the children that this supervisor runs now, in the order of stopping, so that the next supervisor
   * can end them if this one is killed.
   */
  noteChildren(pids: readonly number[]): Promise<void>
  release(): Promise<void>
}

/** The live process that holds the lock of the data dir, or null. */
export async function readLockHolder(dataDir: string): Promise<ProcessIdentity | null> {
  const holder = parseHolder(await readFile(join(dataDir, LOCK_FILE), 'utf8').catch(() => ''))
  return holder !== null && isRunning(holder) ? holder : null
}

/**
 * Locks the data dir for this process. A lock whose process is gone, or whose pid belongs to another process
 * now, is taken over; first the children it left behind are ended. Throws UpError that names the holder when
 * the dir is in use.
 */
export async function lockDataDir(dataDir: string, pid: number = process.pid): Promise<DataDirLock> {
  const path = join(dataDir, LOCK_FILE)
  const draft = `${path}.${pid}`
  await writeFile(draft, JSON.stringify({ pid, start: startOf(pid) ?? '' }))
  try {
    for (;;) {
      // A link appears with its content or not at all, and only one of two processes can make it.
      const isTaken = await link(draft, path).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EEXIST') return false
          throw error
        },
      )
      if (isTaken) break
      await clearStaleLock(path, `${path}.stale.${pid}`, dataDir)
    }
  } finally {
    await rm(draft, { force: true })
  }
  const childrenPath = join(dataDir, CHILDREN_FILE)
  await endLeftChildren(childrenPath)
  return {
    async noteChildren(pids) {
      const children = pids.map((child) => ({ pid: child, start: startOf(child) ?? '' }))
      await writeFile(`${childrenPath}.new`, JSON.stringify(children))
      await rename(`${childrenPath}.new`, childrenPath)
    },
    async release() {
      await rm(childrenPath, { force: true })
      await rm(path, { force: true })
    },
  }
}

async function clearStaleLock(path: string, aside: string, dataDir: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => null)
  if (text === null) return
  const holder = parseHolder(text)
  if (holder !== null && isRunning(holder)) {
    throw new UpError(
      `the data dir ${dataDir} is in use by process ${holder.pid}: stop that "sluice up", ` +
        'or set SLUICE_DATA_DIR to another folder',
    )
  }
  // Another start may have replaced the stale lock since it was read. So compare after moving it away, and
  // put it back if it differs.
  const isMoved = await rename(path, aside).then(
    () => true,
    () => false,
  )
  if (isMoved && (await readFile(aside, 'utf8')) !== text) await link(aside, path).catch(() => {})
  await rm(aside, { force: true })
}

async function endLeftChildren(path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => '[]')
  const left = z.array(processSchema).safeParse(parseJson(text))
  for (const child of left.success ? left.data.filter(isRunning) : []) {
    // Children stop when their parent's channel closes; this is for one that does not.
    sendSignal(child.pid, 'SIGTERM')
    if (!(await waitUntilGone(child.pid, 10_000))) {
      sendSignal(-child.pid, 'SIGKILL')
      await waitUntilGone(child.pid, 2_000)
    }
  }
  await rm(path, { force: true })
}

function isRunning(identity: ProcessIdentity): boolean {
  return isAlive(identity.pid) && startOf(identity.pid) === identity.start
}

function parseHolder(text: string): ProcessIdentity | null {
  const parsed = processSchema.safeParse(parseJson(text))
  return parsed.success ? parsed.data : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
