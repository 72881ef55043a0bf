import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeFolder } from '@sluice/shared/make-folder'

/**
 * The secret that signs this API's own URLs when SLUICE_SECRET is not set: generated at the first start and
 * stored in `path` (mode 0600).
 */
export async function readOrCreateSecret(path: string): Promise<string> {
  if (!existsSync(path)) await createOnce(path)
  return readFileSync(path, 'utf8').trim()
}

/** When two processes start at once, the first link wins and both read that secret. */
async function createOnce(path: string): Promise<void> {
  await makeFolder(dirname(path), 0o700)
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
  try {
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft)
  }
}
