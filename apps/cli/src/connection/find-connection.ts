import { baseUrlSetting, type Environment, secretSetting } from '@sluice/shared/settings'
import { dataDirOf, dataDirPaths } from '../data-dir.ts'
import { type Keys, readKeys } from './keys-file.ts'

export interface Connection {
  /** Ends in /v1, no trailing slash. */
  baseUrl: string
  key: string
}

/** A setting or argument is missing or wrong; the message says what to do. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const DEFAULT_BASE_URL = 'http://127.0.0.1:3000/v1'

/**
 * Where the API is, and the key of an account. SLUICE_API_KEY and SLUICE_BASE_URL come first, each also alone
 * over keys.json of the data dir. Without either, OPENAI_API_KEY is used if OPENAI_BASE_URL is set as well: a
 * key meant for OpenAI must not be sent here. Else keys.json. Throws UsageError when there is no key.
 */
export async function findConnection(env: Environment): Promise<Connection> {
  const ownKey = secretSetting(env, 'SLUICE_API_KEY')
  const ownUrl = apiUrlSetting(env, 'SLUICE_BASE_URL')
  const openaiKey = secretSetting(env, 'OPENAI_API_KEY')
  const openaiUrl = apiUrlSetting(env, 'OPENAI_BASE_URL')
  if (ownKey !== undefined && ownUrl !== undefined) {
    return { key: ownKey, baseUrl: ownUrl }
  }
  if (ownKey === undefined && ownUrl === undefined && openaiKey !== undefined && openaiUrl !== undefined) {
    return { key: openaiKey, baseUrl: openaiUrl }
  }
  const path = dataDirPaths(dataDirOf(env)).keys
  const keys = await readKeysOf(path)
  const key = ownKey ?? keys?.key
  if (key === undefined) {
    throw new UsageError(
      `no API key: there is no ${path}. Start the service in this folder ("npm start"), ` +
        'name its data dir with SLUICE_DATA_DIR, ' +
        'or set SLUICE_API_KEY and SLUICE_BASE_URL (http://host:port/v1)',
    )
  }
  return { key, baseUrl: ownUrl ?? keys?.base_url ?? DEFAULT_BASE_URL }
}

/**
 * Where the API is, and the operator's key. SLUICE_ADMIN_KEY, else the admin key in keys.json of the data
 * dir; SLUICE_BASE_URL, else the base URL in keys.json. Throws UsageError when there is no admin key.
 */
export async function findAdminConnection(env: Environment): Promise<Connection> {
  const path = dataDirPaths(dataDirOf(env)).keys
  const ownKey = secretSetting(env, 'SLUICE_ADMIN_KEY')
  const ownUrl = apiUrlSetting(env, 'SLUICE_BASE_URL')
  const keys = ownKey !== undefined && ownUrl !== undefined ? null : await readKeysOf(path)
  const key = ownKey ?? keys?.admin_key
  if (key === undefined) {
    throw new UsageError(
      `no admin key: there is no ${path}. Name the service's data dir with SLUICE_DATA_DIR, ` +
        'or set SLUICE_ADMIN_KEY and SLUICE_BASE_URL',
    )
  }
  return { key, baseUrl: ownUrl ?? keys?.base_url ?? DEFAULT_BASE_URL }
}

/** The base URL of an API, ending in /v1: without that, or with a call below it, it means the same. */
function apiUrlSetting(env: Environment, name: string): string | undefined {
  const url = baseUrlSetting(env, name)
  return url === undefined ? undefined : `${url.replace(/\/v1(\/.*)?$/, '')}/v1`
}

async function readKeysOf(path: string): Promise<Keys | null> {
  try {
    return await readKeys(path)
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}
