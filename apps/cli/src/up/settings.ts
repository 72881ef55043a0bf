import { ownUrl } from '@sluice/shared/own-address'
import { type Environment, integerSetting, optionalSetting, SettingError } from '@sluice/shared/settings'
import { dataDirOf } from '../data-dir.ts'
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
  /** Null = embedded PostgreSQL. */
  databaseUrl: string | null
  /** Which lines of the children's logs the terminal shows. */
  shownLines: ShownLines
}

/** Reads the settings that `sluice up` itself needs. Throws SettingError. */
export function readUpSettings(env: Environment): UpSettings {
  const port = integerSetting(env, 'PORT', 3_000, { min: 1, max: 65_535 })
  const host = optionalSetting(env, 'HOST') ?? '127.0.0.1'
  const apiUrl = ownUrl(host, port)
  const databaseUrl = optionalSetting(env, 'SLUICE_DATABASE_URL') ?? null
  if (databaseUrl !== null && !namesQueue(env)) {
    throw new SettingError(
      'REDIS_URL',
      undefined,
      'with SLUICE_DATABASE_URL the worker needs it, or SLUICE_QUEUE_URL = the same database as role ' +
        'sluice_worker, which sees schema bullmq alone',
    )
  }
  return {
    dataDir: dataDirOf(env),
    host,
    port,
    apiUrl,
    publicUrl: (optionalSetting(env, 'SLUICE_PUBLIC_URL') ?? apiUrl).replace(/\/+$/, ''),
    databaseUrl,
    shownLines: env.SLUICE_LOG === 'debug' ? 'all' : 'warnings',
  }
}

/** True when a setting says where the queue is; else it is in the embedded PostgreSQL. */
export function namesQueue(env: Environment): boolean {
  return (
    optionalSetting(env, 'REDIS_URL') !== undefined || optionalSetting(env, 'SLUICE_QUEUE_URL') !== undefined
  )
}
