import { join, resolve } from 'node:path'
import { type Environment, optionalSetting } from '@sluice/shared/settings'

export const DEFAULT_DATA_DIR = '.sluice'

/**
 * The data dir that all commands agree on: SLUICE_DATA_DIR, else `.sluice` in the current folder. Absolute.
 */
export function dataDirOf(env: Environment): string {
  return resolve(optionalSetting(env, 'SLUICE_DATA_DIR') ?? DEFAULT_DATA_DIR)
}

/** The files that the API writes into the data dir at its first start, and what `sluice up` keeps there. */
export function dataDirPaths(dataDir: string): {
  keys: string
  workerToken: string
  postgres: string
  logs: string
} {
  return {
    keys: join(dataDir, 'keys.json'),
    workerToken: join(dataDir, 'worker-token'),
    postgres: join(dataDir, 'postgres'),
    logs: join(dataDir, 'logs'),
  }
}
