import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * The secret that signs this API's own URLs when SLUICE_SECRET is not set: generated at the first start and
 * stored in `path` (mode 0600).
 */
export function readOrCreateSecret(path: string): string {
  if (!existsSync(path)) createOnce(path)
  return readFileSync(path, 'utf8').trim()
}

/** When two processes start at once, the first link wins and both read that secret. */
function createOnce(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
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
