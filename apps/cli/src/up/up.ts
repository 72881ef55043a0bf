import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { hideSecrets } from '@sluice/shared/hide-secrets'
import { requireFreePort } from '@sluice/shared/listen'
import { SettingError, SettingErrors } from '@sluice/shared/settings'
import { type DataDirLock, lockDataDir } from './data-dir-lock.ts'
import { UpError } from './errors.ts'
import { Service, type ServiceOptions } from './service.ts'
import { readUpSettings } from './settings.ts'

/**
 * Runs the whole service until `stop` is aborted: PostgreSQL (unless SLUICE_DATABASE_URL names one), API and
 * worker. Each is restarted when it dies; they are stopped in the order worker, API, PostgreSQL. Returns the
 * exit code: 0 after a stop, 1 when something is in the way, 2 when a setting is wrong, its own or a child's.
 */
export async function up(options: ServiceOptions): Promise<0 | 1 | 2> {
  let lock: DataDirLock | null = null
  try {
    const settings = readUpSettings(options.env)
    // A start that is refused makes no data dir. Where there is one, children of a killed supervisor may have
    // the port until the lock has ended them.
    if (!existsSync(settings.dataDir)) await requireFreePort(settings.host, settings.port)
    lock = await makeAndLock(settings.dataDir)
    await requireFreePort(settings.host, settings.port)
    return await new Service(options, settings, lock).run()
  } catch (error) {
    if (options.stop.aborted) return 0
    options.print(
      `sluice: ${hideSecrets(options.env)(error instanceof Error ? error.message : String(error))}`,
    )
    return error instanceof SettingError || error instanceof SettingErrors ? 2 : 1
  } finally {
    await lock?.release()
  }
}

async function makeAndLock(dataDir: string): Promise<DataDirLock> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o711 })
    return await lockDataDir(dataDir)
  } catch (error) {
    if (error instanceof UpError || error instanceof SettingError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new UpError(`the data dir ${dataDir} cannot be used (${reason}): see "npx sluice doctor"`)
  }
}
