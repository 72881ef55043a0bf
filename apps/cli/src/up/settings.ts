import { ownUrl, urlsFromElsewhere } from '@sluice/shared/own-address'
import {
  baseUrlSetting,
  databaseUrlSetting,
  type Environment,
  folderSetting,
  hostSetting,
  optionalSetting,
  portSetting,
  readSettings,
  SettingError,
} from '@sluice/shared/settings'
import { DEFAULT_DATA_DIR } from '../data-dir.ts'
import type { ShownLines } from './log-line.ts'

export interface UpSettings {
  /** Absolute. */
  dataDir: string
  host: string
  port: number
  /** Where this machine reaches the API, without a trailing slash. */
  apiUrl: string
  /** Where people reach it, without a trailing slash. */
  publicUrl: string
  /** Where other machines reach it when no setting says so. */
  urlsFromElsewhere: readonly string[]
  /** Null = embedded PostgreSQL. */
  databaseUrl: string | null
  /** Which lines of the children's logs the terminal shows. */
  shownLines: ShownLines
}

/** Reads the settings that `sluice up` itself needs. Throws SettingErrors. */
export function readUpSettings(env: Environment): UpSettings {
  const { publicUrl, ...read } = readSettings({
    dataDir: () => folderSetting(env, 'SLUICE_DATA_DIR', DEFAULT_DATA_DIR),
    host: () => hostSetting(env, 'HOST', '127.0.0.1'),
    port: () => portSetting(env, 'PORT', 3_000, 1),
    publicUrl: () => baseUrlSetting(env, 'SLUICE_PUBLIC_URL'),
    databaseUrl: () => databaseUrlSetting(env, 'SLUICE_DATABASE_URL') ?? null,
    queue: () => requireQueue(env),
  })
  const apiUrl = ownUrl(read.host, read.port)
  return {
    dataDir: read.dataDir,
    host: read.host,
    port: read.port,
    databaseUrl: read.databaseUrl,
    apiUrl,
    publicUrl: publicUrl ?? apiUrl,
    urlsFromElsewhere: publicUrl === undefined ? urlsFromElsewhere(read.host, read.port) : [],
    shownLines: env.SLUICE_LOG === 'debug' ? 'all' : 'warnings',
  }
}

/** Throws SettingError when the worker could not find the queue in a database of others. */
function requireQueue(env: Environment): void {
  if (optionalSetting(env, 'SLUICE_DATABASE_URL') === undefined || namesQueue(env)) return
  throw new SettingError(
    'REDIS_URL',
    undefined,
    'with SLUICE_DATABASE_URL the worker needs it, or SLUICE_QUEUE_URL = the same database as role ' +
      'sluice_worker, which sees schema bullmq alone',
  )
}

/** True when a setting says where the queue is; else it is in the embedded PostgreSQL. */
export function namesQueue(env: Environment): boolean {
  return (
    optionalSetting(env, 'REDIS_URL') !== undefined || optionalSetting(env, 'SLUICE_QUEUE_URL') !== undefined
  )
}
