import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { leaveNumberedLock, readNewestLock, takeNumberedLock } from '@sluice/shared/numbered-lock'
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
const LOCK_NAME = 'sluice'
const CHILDREN_FILE = 'children.json'

export interface DataDirLock {
  /** The children that this supervisor runs, for the next one; `onProblem` hears that it is not kept. */
  children(onProblem: (error: Error) => void): ChildrenList
  /** Frees the data dir. Never throws: a lock that stays is taken over as soon as its process is gone. */
  release(): Promise<void>
}

/** The live process that holds the lock of the data dir, or null. */
export async function readLockHolder(dataDir: string): Promise<ProcessIdentity | null> {
  const { text } = await readNewestLock({ dir: dataDir, name: LOCK_NAME })
  const holder = holderOf(text)
  return holder !== null && isRunning(holder) ? holder : null
}

/**
 * Locks the data dir for this process. A lock whose process is gone, or whose pid belongs to another process
 * now, is taken over; first the children it left behind are ended. Throws UpError that names the holder when
 * the dir is in use.
 */
export async function lockDataDir(dataDir: string, pid: number = process.pid): Promise<DataDirLock> {
  const taken = await takeNumberedLock({
    dir: dataDir,
    name: LOCK_NAME,
    text: JSON.stringify({ pid, start: startOf(pid) ?? '' } satisfies ProcessIdentity),
    draft: String(pid),
    isHeld: async ({ text }) => {
      const holder = holderOf(text)
      return holder !== null && isRunning(holder)
    },
  })
  if ('heldBy' in taken) throw inUse(dataDir, holderOf(taken.heldBy))
  const childrenPath = join(dataDir, CHILDREN_FILE)
  await endLeftChildren(childrenPath)
  return {
    children: (onProblem) => new ChildrenList(childrenPath, onProblem),
    async release() {
      const isKept = () => undefined
      await rm(childrenPath, { force: true }).catch(isKept)
      await leaveNumberedLock(taken.path).catch(isKept)
    },
  }
}

function holderOf(text: string): ProcessIdentity | null {
  return processSchema.safeParse(parseJson(text)).data ?? null
}

function inUse(dataDir: string, holder: ProcessIdentity | null): UpError {
  const pid = holder?.pid ?? 0
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
