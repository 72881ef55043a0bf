import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, link, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '@sluice/shared/make-folder'
import { codeOf } from './disk-steps.ts'

/** No key contains `~`, so this is no object. */
export const MARK_FILE = '~store'

/**
 * What the folder of a disk store says of itself, by which it differs from the empty folder where it was
 * mounted. Null when it says nothing: then it is not there.
 */
export async function readStoreMark(dir: string): Promise<string | null> {
  try {
    return (await readFile(join(dir, MARK_FILE), 'utf8')).trim()
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null
    throw error
  }
}

/** Whether nothing but a store's own files lies in the folder, or it is missing. */
export async function isEmptyStore(dir: string): Promise<boolean> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  })
  return names.every((name) => name.startsWith('~') || name === 'lost+found')
}

/** The mark of the folder; made with the folder when there is none. */
export async function makeStoreMark(dir: string): Promise<string> {
  await makeFolder(dir)
  const draft = join(dir, `${MARK_FILE}.${randomUUID()}`)
  await writeFile(draft, `${randomUUID()}\n`, { mode: 0o600, flush: true })
  try {
    // When two processes start at once, the first one's mark counts.
    await link(draft, join(dir, MARK_FILE))
      .catch((error: unknown) => {
        if (codeOf(error) === 'EEXIST') return
        return copyFile(draft, join(dir, MARK_FILE), constants.COPYFILE_EXCL)
      })
      .catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error
      })
  } finally {
    await unlink(draft)
  }
  return (await readStoreMark(dir)) ?? makeStoreMark(dir)
}
