import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Environment, optionalSetting, SettingError } from '@sluice/shared/settings'

const SECRET_CHARS_MIN = 32

/**
 * The secret that signs this API's own URLs: SLUICE_SECRET, or one drawn once and kept in the data dir (mode 0600). There
 * is no default secret. API processes that serve the same objects need the same one.
 */
export function readSecret(env: Environment, dataDir: string): string {
  const given = optionalSetting(env, 'SLUICE_SECRET')
  if (given !== undefined) {
    if (given.length < SECRET_CHARS_MIN) {
      throw new SettingError(
        'SLUICE_SECRET',
        `${given.length} characters`,
        `at least ${SECRET_CHARS_MIN} random characters`,
      )
    }
    return given
  }
  const path = join(dataDir, 'secret')
  if (!existsSync(path)) createOnce(path, dataDir)
  return readFileSync(path, 'utf8').trim()
}

/** Two processes may start at once: the first link wins, and both read what it holds. */
function createOnce(path: string, dataDir: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
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
