import { access, constants, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { requireFreePort } from '@sluice/shared/listen'
import { readKeys } from '../connection/keys-file.ts'
import { dataDirPaths } from '../data-dir.ts'
import { sizeText } from '../size-text.ts'
import { readLockHolder } from '../up/data-dir-lock.ts'
import { type Finding, fail, note, ok } from './finding.ts'

/** With less than this, the videos of a day may not fit. */
const FREE_BYTES_MIN = 5e9

/** The nearest folder that exists: the data dir itself, or the folder it would be made in. */
async function existingFolder(path: string): Promise<string> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  return isThere || dirname(path) === path ? path : existingFolder(dirname(path))
}

export async function checkDataDir(dataDir: string): Promise<Finding> {
  const folder = await existingFolder(dataDir)
  const isWritable = await access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
  if (!isWritable) {
    return fail('data dir', `${folder} cannot be written`, 'set SLUICE_DATA_DIR to a folder of yours')
  }
  const holder = await readLockHolder(dataDir)
  if (holder !== null) return ok('data dir', `${dataDir}, in use by process ${holder.pid}`)
  return ok(
    'data dir',
    `${dataDir}, ${folder === dataDir ? 'not in use' : 'will be made at the first start'}`,
  )
}

export async function checkDisk(dataDir: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(await existingFolder(dataDir))
  const freeBytes = bavail * bsize
  const free = `${sizeText(freeBytes)} free`
  return freeBytes < FREE_BYTES_MIN
    ? fail(
        'disk',
        `${free}, less than ${sizeText(FREE_BYTES_MIN)}`,
        'make room, or set SLUICE_DATA_DIR to a larger disk',
      )
    : ok('disk', free)
}

/** For a service that is stopped: a running one has taken the port itself. */
export async function checkPort(host: string, port: number): Promise<Finding> {
  return requireFreePort(host, port).then(
    () => ok('port', `${port} on ${host} is free`),
    (error: Error) => fail('port', error.message, 'correct that setting'),
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
