import { mkdir } from 'node:fs/promises'
import { SettingError } from '@sluice/shared/settings'
import { requireFreePort } from './api-state.ts'
import { type DataDirLock, lockDataDir } from './data-dir-lock.ts'
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
    await mkdir(settings.dataDir, { recursive: true, mode: 0o711 })
    lock = await lockDataDir(settings.dataDir)
    await requireFreePort(settings.host, settings.port)
    return await new Service(options, settings, lock).run()
  } catch (error) {
    if (options.stop.aborted) return 0
    options.print(`sluice: ${error instanceof Error ? error.message : String(error)}`)
    return error instanceof SettingError ? 2 : 1
  } finally {
    await lock?.release()
  }
}
