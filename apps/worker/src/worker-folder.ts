import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isId, newId } from '@sluice/shared/ids'
import { makeFolder } from '@sluice/shared/make-folder'
import { messageOf } from './error-message.ts'
import { LOCK_TIMES, type LockTimes, takeWorkerLock, type WorkerLock } from './worker-lock.ts'

/** What a worker owns on disk. No two live processes own the same folder, wherever they run. */
export interface WorkerFolder {
  /** This worker's id, stable across restarts on this folder. */
  worker: string
  lock: WorkerLock
  spoolDir: string
  workDir: string
  /**
   * Makes the worker another one, for good, and returns its id: the old one is used elsewhere. Never rejects:
   * an id that cannot be written holds for this process.
   */
  rename(): Promise<string>
}

/** The worker has no folder to work in. */
export class WorkerFolderError extends Error {
  override name = 'WorkerFolderError'
  /** It may have one later, such as when a full disk has room again. */
  readonly mayPass: boolean

  constructor(message: string, mayPass: boolean, cause?: unknown) {
    super(message, { cause })
    this.mayPass = mayPass
  }
}

const WORKERS_PER_DATA_DIR_MAX = 32

/**
 * Takes `<dataDir>/worker`, or the next free `worker-2`, `worker-3`, ... when live workers have the ones
 * before. A lock left by a dead process is taken over; half-done work in the folder is removed, spooled
 * reports stay. Throws WorkerFolderError.
 */
export async function takeWorkerFolder(
  dataDir: string,
  times: LockTimes = LOCK_TIMES,
): Promise<WorkerFolder> {
  try {
    for (let n = 1; n <= WORKERS_PER_DATA_DIR_MAX; n += 1) {
      const dir = join(dataDir, n === 1 ? 'worker' : `worker-${n}`)
      await makeFolder(dir, 0o700)
      const lock = await takeWorkerLock(dir, times)
      if (lock !== null) return await prepare(dir, lock)
    }
  } catch (error) {
    if (error instanceof WorkerFolderError) throw error
    throw new WorkerFolderError(
      `nothing can be written to SLUICE_DATA_DIR ${dataDir}: ${messageOf(error)}`,
      true,
      error,
    )
  }
  throw new WorkerFolderError(
    `${WORKERS_PER_DATA_DIR_MAX} live workers use ${dataDir}: give this one another SLUICE_DATA_DIR`,
    false,
  )
}

async function prepare(dir: string, lock: WorkerLock): Promise<WorkerFolder> {
  try {
    const spoolDir = join(dir, 'spool')
    const workDir = join(dir, 'work')
    await makeFolder(spoolDir, 0o700)
    await makeFolder(workDir, 0o700)
    for (const left of await readdir(workDir)) await rm(join(workDir, left), { recursive: true, force: true })
    const idPath = join(dir, 'id')
    return {
      worker: await readOrMakeId(idPath),
      lock,
      spoolDir,
      workDir,
      async rename() {
        const id = newId('worker')
        await writeId(idPath, id).catch(() => {})
        return id
      },
    }
  } catch (error) {
    await lock.leave()
    throw error
  }
}

/** The id in the file; a new one when there is none yet, or what is there is no id. */
async function readOrMakeId(path: string): Promise<string> {
  const known = await readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => '',
  )
  if (isId('worker', known)) return known
  const id = newId('worker')
  await writeId(path, id)
  return id
}

async function writeId(path: string, id: string): Promise<void> {
  await writeFile(`${path}.new`, `${id}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
