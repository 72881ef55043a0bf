import { readKeys } from '../connection/keys-file.ts'
import { readLockHolder } from '../up/data-dir-lock.ts'
import { dataDirPaths, given, readUpSettings } from '../up/settings.ts'
import { checkDataDir, checkDisk, checkKeys, checkPort } from './check-data-dir.ts'
import { checkNode, checkPinnedNode, checkPostgres, checkTestPrograms } from './check-installation.ts'
import { checkModels, checkRunner } from './check-runner.ts'
import { checkApi, checkDatabase, checkRedis, checkStore } from './check-services.ts'
import { type Finding, formatFinding } from './finding.ts'

/** Checks every part, says what to do, ends with one line. Answers 0 when nothing failed, else 1. Throws UpError for a wrong setting. */
export async function doctor(env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<0 | 1> {
  const settings = readUpSettings(env)
  const running = (await readLockHolder(settings.dataDir)) !== null
  // A running service says in keys.json where it is, which may be another port than this shell's.
  const keys = running ? await readKeys(dataDirPaths(settings.dataDir).keys).catch(() => null) : null
  const apiUrl =
    given(env.PORT) === null && keys !== null ? keys.base_url.replace(/\/v1$/, '') : settings.apiUrl
  const redisUrl = given(env.REDIS_URL)
  const s3Endpoint = given(env.SLUICE_S3_ENDPOINT)
  const checks: (Promise<Finding | Finding[]> | Finding[])[] = [
    checkNode(),
    checkPinnedNode(),
    settings.databaseUrl === null ? checkPostgres() : checkDatabase(settings.databaseUrl),
    ...(redisUrl === null ? [] : [checkRedis(redisUrl)]),
    ...(s3Endpoint === null ? [] : [checkStore(s3Endpoint)]),
    checkDataDir(settings.dataDir),
    checkDisk(settings.dataDir),
    checkKeys(settings.dataDir),
    ...(running ? [] : [checkPort(settings.host, settings.port)]),
    checkApi(apiUrl, running),
    checkRunner(env),
    checkTestPrograms(),
    checkModels(env),
  ]
  let failures = 0
  for (const check of checks) {
    for (const finding of [await check].flat()) {
      say(formatFinding(finding))
      if (finding.state === 'fail') failures++
    }
  }
  say('')
  say(
    failures === 0
      ? 'Everything needed works.'
      : `${failures} ${failures === 1 ? 'part does' : 'parts do'} not work: see ✗ above.`,
  )
  return failures === 0 ? 0 : 1
}
