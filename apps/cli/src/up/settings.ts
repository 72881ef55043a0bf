import { join, resolve } from 'node:path'
import { UpError } from './errors.ts'

export interface UpSettings {
  /** Absolute. */
  dataDir: string
  host: string
  port: number
  /** Where this machine reaches the API, without a trailing slash. */
  apiUrl: string
  /** Where people reach it. */
  publicUrl: string
  /** Null = embedded PostgreSQL. */
  databaseUrl: string | null
  /** Show every line of the children's logs, not only warnings. */
  showAll: boolean
}

/** The data dir all commands agree on: SLUICE_DATA_DIR, else `.sluice` in the current folder. Absolute. */
export function dataDirOf(env: NodeJS.ProcessEnv): string {
  return resolve(given(env.SLUICE_DATA_DIR) ?? '.sluice')
}

/** Judges the settings `sluice up` itself needs. Throws UpError (exit 2) that names the setting, what was given, what is allowed. */
export function readUpSettings(env: NodeJS.ProcessEnv): UpSettings {
  const portText = given(env.PORT) ?? '3000'
  const port = Number(portText)
  if (!/^\d{1,5}$/.test(portText) || port < 1 || port > 65_535) {
    throw new UpError(`PORT must be a whole number from 1 to 65535, got "${portText}"`, 2)
  }
  const host = given(env.HOST) ?? '127.0.0.1'
  const apiUrl = `http://${reachable(host)}:${port}`
  const databaseUrl = given(env.SLUICE_DATABASE_URL)
  if (databaseUrl !== null && given(env.REDIS_URL) === null && given(env.SLUICE_QUEUE_URL) === null) {
    throw new UpError(
      'SLUICE_DATABASE_URL is set, so the worker needs REDIS_URL, or SLUICE_QUEUE_URL = the same database as role sluice_worker, which sees schema bullmq alone',
      2,
    )
  }
  const publicUrl = (given(env.SLUICE_PUBLIC_URL) ?? apiUrl).replace(/\/+$/, '')
  return {
    dataDir: dataDirOf(env),
    host,
    port,
    apiUrl,
    publicUrl,
    databaseUrl,
    showAll: env.SLUICE_LOG === 'debug',
  }
}

/** The files the API writes into the data dir at its first start, and the logs kept here. */
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

/** An empty setting counts as unset. */
export function given(value: string | undefined): string | null {
  return value === undefined || value.trim() === '' ? null : value
}

function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
