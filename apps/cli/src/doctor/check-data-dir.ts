import { access, constants, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { readKeys } from '../connection/keys-file.ts'
import { requireFreePort } from '../up/api-state.ts'
import { readLockHolder } from '../up/data-dir-lock.ts'
import { dataDirPaths } from '../up/settings.ts'
import { type Finding, fail, note, ok } from './finding.ts'

/** Below this a day of videos may not fit. */
const FREE_BYTES_MIN = 5e9

/** The nearest folder that exists: the data dir itself, or what it would be made in. */
async function existing(path: string): Promise<string> {
  const found = await access(path).then(
    () => true,
    () => false,
  )
  return found || dirname(path) === path ? path : existing(dirname(path))
}

export async function checkDataDir(dataDir: string): Promise<Finding> {
  const folder = await existing(dataDir)
  const writable = await access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
  if (!writable)
    return fail('data dir', `${folder} cannot be written`, 'set SLUICE_DATA_DIR to a folder of yours')
  const holder = await readLockHolder(dataDir)
  const state =
    holder === null
      ? folder === dataDir
        ? 'not in use'
        : 'will be made at the first start'
      : `in use by process ${holder.pid}`
  return ok('data dir', `${dataDir}, ${state}`)
}

export async function checkDisk(dataDir: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(await existing(dataDir))
  const freeBytes = bavail * bsize
  const said = `${(freeBytes / 1e9).toFixed(1)} GB free`
  return freeBytes < FREE_BYTES_MIN
    ? fail('disk', said, 'make room, or set SLUICE_DATA_DIR to a larger disk')
    : ok('disk', said)
}

/** Only asked while the service is stopped: otherwise the port is taken by it. */
export async function checkPort(host: string, port: number): Promise<Finding> {
  return requireFreePort(host, port).then(
    () => ok('port', `${port} on ${host} is free`),
    (error: Error) => fail('port', error.message, 'set PORT to a free port'),
  )
}

export async function checkKeys(dataDir: string): Promise<Finding> {
  const path = dataDirPaths(dataDir).keys
  try {
    const keys = await readKeys(path)
    if (keys === null) return note('keys', `${path} is not there; the first start writes it`, 'npm start')
    return ok('keys', `${path}, for ${keys.base_url}`)
  } catch (error) {
    return fail(
      'keys',
      error instanceof Error ? error.message : String(error),
      `move ${path} away only if you have its keys elsewhere`,
    )
  }
}
