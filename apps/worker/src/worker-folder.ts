import { randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { isId, newId } from '@sluice/shared/ids'

/** What a worker owns on disk. No two live processes own the same folder. */
export interface WorkerFolder {
  /** This worker's id, stable across restarts on this folder. */
  worker: string
  /** Id of this start of the worker. */
  boot: string
  spoolDir: string
  workDir: string
  /** Gives up the lock; synchronous, so that it can run last. */
  release(): void
}

export class WorkerFolderError extends Error {
  override name = 'WorkerFolderError'
}

const WORKERS_PER_DATA_DIR_MAX = 32
/** Locks that this very process took. */
const takenHere = new Set<string>()

/**
 * Takes `<dataDir>/worker`, or the next free `worker-2`, `worker-3`, ... when live workers have the ones
 * before. A lock left by a dead process is taken over; half-done work in the folder is removed, spooled
 * reports stay.
 */
export function takeWorkerFolder(dataDir: string): WorkerFolder {
  for (let n = 1; n <= WORKERS_PER_DATA_DIR_MAX; n += 1) {
    const dir = join(dataDir, n === 1 ? 'worker' : `worker-${n}`)
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const lock = join(dir, 'lock')
    if (!takeLock(lock)) continue
    const spoolDir = join(dir, 'spool')
    const workDir = join(dir, 'work')
    rmSync(workDir, { recursive: true, force: true })
    for (const folder of [spoolDir, workDir]) mkdirSync(folder, { recursive: true, mode: 0o700 })
    return {
      worker: readOrMakeId(join(dir, 'id')),
      boot: randomBytes(16).toString('hex'),
      spoolDir,
      workDir,
      release: () => releaseLock(lock),
    }
  }
  throw new WorkerFolderError(
    `${WORKERS_PER_DATA_DIR_MAX} live workers use ${dataDir}: give this one another SLUICE_DATA_DIR`,
  )
}

/** The id in the file; a new one when there is none yet, or what is there is no id. */
function readOrMakeId(path: string): string {
  const known = readIfThere(path)?.trim() ?? ''
  if (isId('worker', known)) return known
  const id = newId('worker')
  writeFileSync(`${path}.new`, `${id}\n`)
  renameSync(`${path}.new`, path)
  return id
}

function takeLock(path: string): boolean {
  for (let round = 0; round < 3; round += 1) {
    try {
      const file = openSync(path, 'wx', 0o600)
      writeSync(file, ownIdentity())
      closeSync(file)
      takenHere.add(path)
      return true
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    if (isLocked(path)) return false
    // Renamed before it is removed: of two that find the same dead lock, one fails to rename it.
    try {
      renameSync(path, `${path}.dead-${process.pid}`)
      unlinkSync(`${path}.dead-${process.pid}`)
    } catch {
      // Another process was faster; the next round sees whether it has the lock.
    }
  }
  return false
}

function isLocked(path: string): boolean {
  const text = readIfThere(path)
  if (text === null) return false
  const pid = Number(text.split(' ')[0])
  if (!Number.isInteger(pid) || pid <= 0) return false
  // Our own pid in a lock we never took is that of a process before us, such as pid 1 of the last container.
  if (pid === process.pid) return takenHere.has(path)
  return identityOf(pid) === text
}

function releaseLock(path: string): void {
  takenHere.delete(path)
  try {
    if (readIfThere(path) === ownIdentity()) unlinkSync(path)
  } catch {
    // A lock that stays is taken over at the next start, since its process is gone.
  }
}

function ownIdentity(): string {
  return identityOf(process.pid) ?? `${process.pid} `
}

/**
 * `<pid> <start time>`, so that a reused pid is not mistaken for the owner; without /proc only the pid. Null
 * = no such process.
 */
function identityOf(pid: number): string | null {
  const stat = readIfThere(`/proc/${pid}/stat`)
  if (stat !== null) {
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : `${pid} ${fields[19] ?? ''}`
  }
  if (process.platform === 'linux') return null
  try {
    process.kill(pid, 0)
    return `${pid} `
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' ? `${pid} ` : null
  }
}

/** Null when the file cannot be read, which here always means that it is not there. */
function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
