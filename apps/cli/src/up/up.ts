import { existsSync } from 'node:fs'
import { hideSecrets } from '@sluice/shared/hide-secrets'
import { requireFreePort } from '@sluice/shared/listen'
import { makeFolder } from '@sluice/shared/make-folder'
import { SettingError, SettingErrors } from '@sluice/shared/settings'
import { faultsOfSettings } from './check-settings.ts'
import { apiEnvironment, workerEnvironment } from './child-environment.ts'
import { type DataDirLock, lockDataDir } from './data-dir-lock.ts'
import { UpError } from './errors.ts'
import { Service, type ServiceOptions } from './service.ts'
import { namesQueue, readUpSettings, type UpSettings } from './settings.ts'

/** Stand for what the first start makes, where only the other settings are looked at. */
export const ANY_DATABASE = 'postgres://127.0.0.1/sluice'
export const ANY_TOKEN = 'made-by-the-first-start-of-the-api'

/** A child would refuse its settings; the message has a line for each. Exit code 2. */
class UnfitSettings extends Error {
  override readonly name = 'UnfitSettings'
}

function isOfSettings(error: unknown): boolean {
  return error instanceof SettingError || error instanceof SettingErrors || error instanceof UnfitSettings
}

/**
 * Runs the whole service until `stop` is aborted: PostgreSQL (unless SLUICE_DATABASE_URL names one), API and
 * worker. Each is restarted when it dies; they are stopped in the order worker, API, PostgreSQL. Returns the
 * exit code: 0 after a stop, 1 when something is in the way, 2 when a setting is wrong, its own or a child's.
 */
export async function up(options: ServiceOptions): Promise<0 | 1 | 2> {
  let lock: DataDirLock | null = null
  try {
    const settings = await readOrName(options.env)
    // A start that is refused makes no data dir. Where there is one, children of a killed supervisor may have
    // the port until the lock has ended them.
    if (!existsSync(settings.dataDir)) {
      await requireFreePort(settings.host, settings.port)
      await requireSettings(options.env, settings)
    }
    lock = await makeAndLock(settings.dataDir)
    await requireFreePort(settings.host, settings.port)
    return await new Service(options, settings, lock).run()
  } catch (error) {
    if (options.stop.aborted) return 0
    options.print(
      `sluice: ${hideSecrets(options.env)(error instanceof Error ? error.message : String(error))}`,
    )
    return isOfSettings(error) ? 2 : 1
  } finally {
    await lock?.release()
  }
}

/** Our own settings. Throws UnfitSettings, which names those of API and worker too that are wrong. */
async function readOrName(env: NodeJS.ProcessEnv): Promise<UpSettings> {
  try {
    return readUpSettings(env)
  } catch (error) {
    if (!(error instanceof SettingErrors)) throw error
    const wrong = new Set(error.errors.map(({ setting }) => setting))
    const others = Object.fromEntries(Object.entries(env).filter(([name]) => !wrong.has(name)))
    // Missing settings still are: then only our own can be named.
    const lines = await Promise.resolve()
      .then(() => settingFaults(others, readUpSettings(others)))
      .catch(() => [])
    throw new UnfitSettings([error.message, ...lines].join('\n'))
  }
}

/** Throws UnfitSettings when API or worker would refuse its settings. */
async function requireSettings(env: NodeJS.ProcessEnv, settings: UpSettings): Promise<void> {
  const lines = await settingFaults(env, settings)
  if (lines.length > 0) throw new UnfitSettings(lines.join('\n'))
}

async function settingFaults(env: NodeJS.ProcessEnv, settings: UpSettings): Promise<string[]> {
  const faults = await Promise.all([
    faultsOfSettings('api', apiEnvironment(env, settings, settings.databaseUrl ?? ANY_DATABASE)),
    faultsOfSettings(
      'worker',
      workerEnvironment(env, settings, ANY_TOKEN, namesQueue(env) ? null : ANY_DATABASE),
    ),
  ])
  return [...new Set(faults.flat())]
}

async function makeAndLock(dataDir: string): Promise<DataDirLock> {
  try {
    await makeFolder(dataDir, 0o711)
    return await lockDataDir(dataDir)
  } catch (error) {
    if (error instanceof UpError || isOfSettings(error)) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new UpError(`the data dir ${dataDir} cannot be used (${reason}): see "npx sluice doctor"`)
  }
}
