import { dataDirOf, dataDirPaths, given } from '../up/settings.ts'
import { type Keys, readKeys } from './keys-file.ts'

export interface Connection {
  /** Ends in /v1, no trailing slash. */
  baseUrl: string
  key: string
}

/** A setting or argument is missing or wrong; the message says what to do. Exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

const DEFAULT_BASE_URL = 'http://127.0.0.1:3000/v1'

/**
 * Where the API is and the key for it: SLUICE_API_KEY and SLUICE_BASE_URL, else OPENAI_API_KEY together with OPENAI_BASE_URL (a key of
 * OpenAI's alone is not ours to send), else keys.json of the data dir. Either SLUICE_ variable may stand alone over keys.json.
 * Throws UsageError when there is no key.
 */
export async function findConnection(env: NodeJS.ProcessEnv): Promise<Connection> {
  const openai = given(env.OPENAI_BASE_URL) === null ? null : given(env.OPENAI_API_KEY)
  const path = dataDirPaths(dataDirOf(env)).keys
  const own = given(env.SLUICE_API_KEY)
  const ownUrl = given(env.SLUICE_BASE_URL)
  if (own !== null && ownUrl !== null) return { key: own, baseUrl: judgeUrl('SLUICE_BASE_URL', ownUrl) }
  if (own === null && ownUrl === null && openai !== null) {
    return { key: openai, baseUrl: judgeUrl('OPENAI_BASE_URL', given(env.OPENAI_BASE_URL) ?? '') }
  }
  const keys = await readKeysOf(path)
  const key = own ?? keys?.key
  if (key === undefined) {
    throw new UsageError(
      `no API key: there is no ${path}. Start the service in this folder ("npm start"), name its data dir with SLUICE_DATA_DIR, ` +
        'or set SLUICE_API_KEY and SLUICE_BASE_URL (http://host:port/v1)',
    )
  }
  return { key, baseUrl: judgeUrl('SLUICE_BASE_URL', ownUrl ?? keys?.base_url ?? DEFAULT_BASE_URL) }
}

/**
 * Where the API is and the operator's key for it: SLUICE_ADMIN_KEY, else the admin key in keys.json of the data dir; SLUICE_BASE_URL,
 * else what keys.json says. Throws UsageError when there is no admin key.
 */
export async function findAdminConnection(env: NodeJS.ProcessEnv): Promise<Connection> {
  const path = dataDirPaths(dataDirOf(env)).keys
  const own = given(env.SLUICE_ADMIN_KEY)
  const ownUrl = given(env.SLUICE_BASE_URL)
  const keys = own !== null && ownUrl !== null ? null : await readKeysOf(path)
  const key = own ?? keys?.admin_key
  if (key === undefined) {
    throw new UsageError(
      `no admin key: there is no ${path}. Name the service's data dir with SLUICE_DATA_DIR, or set SLUICE_ADMIN_KEY and SLUICE_BASE_URL`,
    )
  }
  return { key, baseUrl: judgeUrl('SLUICE_BASE_URL', ownUrl ?? keys?.base_url ?? DEFAULT_BASE_URL) }
}

async function readKeysOf(path: string): Promise<Keys | null> {
  try {
    return await readKeys(path)
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}

function judgeUrl(name: string, text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError(`${name} must be an http or https URL ending in /v1, got "${text}"`)
  return text.replace(/\/+$/, '')
}
