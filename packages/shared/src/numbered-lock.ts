import { link, open, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * A lock of a folder as files `<name>.<number>.pid`. Files can be made only if absent, but not replaced only
 * if unchanged: whoever removed a stale lock could remove the lock of a faster one. So each holder has the
 * next number, the highest number counts, and that file is never removed.
 */
export interface LockPlace {
  dir: string
  name: string
}

/** The file with the highest number, and what its holder wrote; number 0 and no text when there is none. */
export interface NewestLock {
  number: number
  text: string
  /** When the file changed last; 0 when there is none. */
  changedAtMs: number
}

export async function readNewestLock({ dir, name }: LockPlace): Promise<NewestLock> {
  const number = Math.max(0, ...(await lockNumbers({ dir, name })))
  try {
    // Opened first: a network file system answers `stat` from its memory, but not after an `open`.
    await using file = await open(pathOf({ dir, name }, number))
    const text = await file.readFile('utf8')
    return { number, text, changedAtMs: (await file.stat()).mtimeMs }
  } catch {
    return { number, text: '', changedAtMs: 0 }
  }
}

export interface TakeLock extends LockPlace {
  /** What is written for others to read. */
  text: string
  /** A name that no other process that may want the lock uses. */
  draft: string
  /** Whether the holder who wrote this still has it; an empty text is nobody's. */
  isHeld(newest: NewestLock): Promise<boolean>
}

/** A lock that was taken, and what its holder before wrote. */
export interface TakenLock {
  path: string
  number: number
  before: string
}

/** Takes the lock, or returns what its live holder wrote. Throws what the file system throws. */
export async function takeNumberedLock(take: TakeLock): Promise<TakenLock | { heldBy: string }> {
  const draft = join(take.dir, `${take.name}.${take.draft}.draft`)
  await writeFile(draft, take.text, { mode: 0o600 })
  try {
    for (;;) {
      const newest = await readNewestLock(take)
      if (newest.text !== '' && (await take.isHeld(newest))) return { heldBy: newest.text }
      const number = newest.number + 1
      const path = pathOf(take, number)
      if (!(await linkIfAbsent(draft, path))) continue
      // Others may have taken and left higher numbers since the folder was read, and removed this one.
      const isNewest = (await readNewestLock(take)).number === number
      await removeLocks(take, (other) => (isNewest ? other < number : other === number))
      if (isNewest) return { path, number, before: newest.text }
    }
  } finally {
    await rm(draft, { force: true })
  }
}

/**
 * Leaves the lock to whoever comes next. The file stays, for its number must not be given twice; without a
 * `text` it is emptied, which needs no room on the disk.
 */
export async function leaveNumberedLock(path: string, text = ''): Promise<void> {
  if (text === '') return truncate(path)
  await writeFile(`${path}.free`, text)
  await rename(`${path}.free`, path)
}

function pathOf({ dir, name }: LockPlace, number: number): string {
  return join(dir, `${name}.${number}.pid`)
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

async function lockNumbers({ dir, name }: LockPlace): Promise<number[]> {
  // A folder that cannot be read is no folder without locks.
  const files = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return files.flatMap((file) => {
    const [, number] = file.startsWith(`${name}.`) ? (/\.(\d+)\.pid$/.exec(file) ?? []) : []
    return number !== undefined && file === `${name}.${number}.pid` ? [Number(number)] : []
  })
}

async function removeLocks(place: LockPlace, isRemoved: (number: number) => boolean): Promise<void> {
  for (const number of (await lockNumbers(place)).filter(isRemoved))
    await rm(pathOf(place, number), { force: true })
}
