import { baseUrlSetting, optionalSetting, redisUrlSetting } from '@sluice/shared/settings'
import { readKeys } from '../connection/keys-file.ts'
import { dataDirPaths } from '../data-dir.ts'
import { readLockHolder } from '../up/data-dir-lock.ts'
import { readUpSettings } from '../up/settings.ts'
import { checkDataDir, checkDisk, checkKeys, checkPort } from './check-data-dir.ts'
import { checkNode, checkPinnedNode, checkPostgres, checkTestPrograms } from './check-installation.ts'
import { checkModels, checkRunner } from './check-runner.ts'
import { checkApi, checkDatabase, checkRedis } from './check-services.ts'
import { checkSettings, isWorkerHost } from './check-settings.ts'
import { checkDatabaseClock, checkStore } from './check-store.ts'
import { type Finding, formatFinding } from './finding.ts'

/** When the checks take longer than this, that is said: those of services give up after some seconds. */
const PATIENCE_MS = 1_000

/**
 * Checks every part and prints what to do. Returns the exit code: 0, or 1 when a part failed. Throws
 * SettingError.
 */
export async function doctor(env: NodeJS.ProcessEnv, print: (line: string) => void): Promise<0 | 1> {
  const settings = readUpSettings(env)
  const isRunning = (await readLockHolder(settings.dataDir)) !== null
  // keys.json of a running service names its address, which may have another port than this shell's settings.
  const keys = isRunning ? await readKeys(dataDirPaths(settings.dataDir).keys).catch(() => null) : null
  const ownApiUrl =
    optionalSetting(env, 'PORT') === undefined && keys !== null
      ? keys.base_url.replace(/\/v1$/, '')
      : settings.apiUrl
  const apiUrl = readable(() => baseUrlSetting(env, 'SLUICE_API_URL')) ?? ownApiUrl
  const redis = redisOf(env)
  const s3Endpoint = optionalSetting(env, 'SLUICE_S3_ENDPOINT')
  const checks: (Promise<Finding | Finding[]> | Finding[])[] = [
    checkNode(),
    checkPinnedNode(),
    settings.databaseUrl === null ? checkPostgres() : checkDatabase(settings.databaseUrl),
    ...(settings.databaseUrl === null ? [] : [checkDatabaseClock(settings.databaseUrl)]),
    checkSettings(env, settings),
    ...(redis === undefined ? [] : [checkRedis(redis.setting, redis.url)]),
    ...(s3Endpoint === undefined ? [] : [checkStore(env)]),
    checkDataDir(settings.dataDir),
    checkDisk(settings.dataDir),
    checkKeys(settings.dataDir),
    ...(isRunning || isWorkerHost(env) ? [] : [checkPort(settings.host, settings.port)]),
    checkApi(apiUrl, {
      isExpected: isRunning || isWorkerHost(env),
      // The key of this data dir is for its own API only.
      adminKey: apiUrl === ownApiUrl ? keys?.admin_key : undefined,
    }),
    checkRunner(env),
    checkTestPrograms(),
    checkModels(env),
  ]
  const findings: Finding[] = []
  const slow = setTimeout(
    () => print(`  some answers take longer; the API is asked at ${apiUrl}, at most 10 s`),
    PATIENCE_MS,
  )
  for (const check of checks) {
    const found = await check
    for (const finding of [found].flat()) {
      print(formatFinding(finding))
      findings.push(finding)
    }
  }
  clearTimeout(slow)
  print('')
  print(conclusion(findings))
  return findings.some(({ state }) => state === 'fail') ? 1 : 0
}

/** Never more than was seen: that nothing is in the way of a start does not say that anything runs. */
export function conclusion(findings: readonly Finding[]): string {
  const failures = findings.filter(({ state }) => state === 'fail').length
  if (failures > 0) return `${failures} ${failures === 1 ? 'part does' : 'parts do'} not work: see ✗ above.`
  const isReady = findings.some(({ part, state }) => part === 'ready' && state === 'ok')
  return isReady
    ? 'Everything needed works.'
    : 'Nothing runs here. Nothing is in the way of a start: npm start'
}

/** The Redis of the queue, and the setting that names it. */
function redisOf(env: NodeJS.ProcessEnv): { setting: string; url: string } | undefined {
  for (const setting of ['REDIS_URL', 'SLUICE_QUEUE_URL']) {
    const url = readable(() => redisUrlSetting(env, setting))
    if (url !== undefined) return { setting, url }
  }
}

/** The setting, or undefined for one that checkSettings reports. */
function readable(read: () => string | undefined): string | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
