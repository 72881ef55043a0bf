import { optionalSetting } from '@sluice/shared/settings'
import { readKeys } from '../connection/keys-file.ts'
import { dataDirPaths } from '../data-dir.ts'
import { readLockHolder } from '../up/data-dir-lock.ts'
import { readUpSettings } from '../up/settings.ts'
import { checkDataDir, checkDisk, checkKeys, checkPort } from './check-data-dir.ts'
import { checkNode, checkPinnedNode, checkPostgres, checkTestPrograms } from './check-installation.ts'
import { checkModels, checkRunner } from './check-runner.ts'
import { checkApi, checkDatabase, checkRedis } from './check-services.ts'
import { checkDatabaseClock, checkStore } from './check-store.ts'
import { type Finding, formatFinding } from './finding.ts'

/**
 * Checks every part and prints what to do. Returns the exit code: 0, or 1 when a part failed. Throws
 * SettingError.
 */
export async function doctor(env: NodeJS.ProcessEnv, print: (line: string) => void): Promise<0 | 1> {
  const settings = readUpSettings(env)
  const isRunning = (await readLockHolder(settings.dataDir)) !== null
  // keys.json of a running service names its address, which may have another port than this shell's settings.
  const keys = isRunning ? await readKeys(dataDirPaths(settings.dataDir).keys).catch(() => null) : null
  const apiUrl =
    optionalSetting(env, 'PORT') === undefined && keys !== null
      ? keys.base_url.replace(/\/v1$/, '')
      : settings.apiUrl
  const redisUrl = optionalSetting(env, 'REDIS_URL')
  const s3Endpoint = optionalSetting(env, 'SLUICE_S3_ENDPOINT')
  const checks: (Promise<Finding | Finding[]> | Finding[])[] = [
    checkNode(),
    checkPinnedNode(),
    settings.databaseUrl === null ? checkPostgres() : checkDatabase(settings.databaseUrl),
    ...(settings.databaseUrl === null ? [] : [checkDatabaseClock(settings.databaseUrl)]),
    ...(redisUrl === undefined ? [] : [checkRedis(redisUrl)]),
    ...(s3Endpoint === undefined ? [] : [checkStore(env)]),
    checkDataDir(settings.dataDir),
    checkDisk(settings.dataDir),
    checkKeys(settings.dataDir),
    ...(isRunning ? [] : [checkPort(settings.host, settings.port)]),
    checkApi(apiUrl, { isExpected: isRunning }),
    checkRunner(env),
    checkTestPrograms(),
    checkModels(env),
  ]
  let failures = 0
  for (const check of checks) {
    for (const finding of [await check].flat()) {
      print(formatFinding(finding))
      if (finding.state === 'fail') failures += 1
    }
  }
  print('')
  print(
    failures === 0
      ? 'Everything needed works.'
      : `${failures} ${failures === 1 ? 'part does' : 'parts do'} not work: see ✗ above.`,
  )
  return failures === 0 ? 0 : 1
}
