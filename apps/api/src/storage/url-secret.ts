import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * The secret that signs this API's own URLs where no SLUICE_SECRET is set: generated at the first start and kept in `path`
 * (mode 0600). There is no default secret.
 */
export function readOrCreateSecret(path: string): string {
  if (!existsSync(path)) createOnce(path)
  return readFileSync(path, 'utf8').trim()
}

/** Two processes may start at once: the first link wins, and both read what it holds. */
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
