import { totalmem } from 'node:os'
import { join } from 'node:path'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { isLoopback, ownUrl } from '@sluice/shared/own-address'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import type { ServiceTier } from '@sluice/shared/service-tier'
import {
  allowedSecret,
  baseUrlSetting,
  choiceSetting,
  databaseUrlSetting,
  type Environment,
  folderSetting,
  hostSetting,
  integerSetting,
  isGuessable,
  optionalSetting,
  portSetting,
  readSettings,
  redisUrlSetting,
  SECRET_CHARS_MIN,
  SettingError,
  secretSetting,
} from '@sluice/shared/settings'
import type { DatabaseSettings } from '../db/database.ts'
import { CONNECTIONS_MIN } from '../db/databases.ts'
import type { StoreSettings } from '../storage/open-store.ts'
import { readAllowHosts } from './allow-hosts.ts'
import { type AllowedOrigins, readAllowedOrigins } from './allowed-origins.ts'
import { type Bounds, boundsFor } from './bounds.ts'
import { readModels } from './models.ts'
import { readStripe, type StripeSettings } from './payments.ts'
import {
  type ModerationSettings,
  type RefinerSettings,
  readModeration,
  readRefiner,
} from './prompt-services.ts'
import { readS3 } from './store.ts'
import { DEFAULT_TIMINGS, type Timings } from './timings.ts'

/** All settings of the API, validated and grouped. */
export interface Config {
  http: HttpSettings
  dataDir: string
  database: Pick<DatabaseSettings, 'url' | 'connectionsMax' | 'limits'>
  queue: QueueSettings
  store: StoreSettings
  currency: string
  catalogue: Catalogue
  /** A model of the catalogue that is open to every account. */
  defaultModel: string
  tierMultiplierBps: Record<ServiceTier, number>
  /** Share of a pool's slots that one account may occupy while other accounts are active. */
  accountSharePercent: number
  /** How long a flex video that came back runs before it makes room again. */
  flexRunMsMin: number
  /** What a switch of models is taken to cost on a pool that has not measured any. */
  switchMs: number
  /** The longest that a video is passed over because another one's model is loaded; 0 = never. */
  switchWaitMsMax: number
  /** How long queued videos should wait at most: what an autoscaler is told to bring workers for. */
  queueMsWanted: number
  /** A video fails when this many workers or runners in a row ended on it without progress. */
  attemptsMax: number
  /** A worker token chosen by the operator, for deployments that give it to both sides. */
  workerToken: string | undefined
  /** An admin key chosen by the operator, so that none has to be made and kept in the data dir. */
  adminKey: string | undefined
  logLevel: string
  /** How long the files of a completed video are stored; null = until it is deleted. */
  retentionSeconds: number | null
  /** How long events of webhooks and their deliveries are kept. */
  webhookLogDays: number
  /** How long attempts and workers' shifts of closed hours are kept. */
  attemptDays: number
  moderation: ModerationSettings | null
  refiner: RefinerSettings | null
  /** Null: no payments are taken. */
  stripe: StripeSettings | null
  /** Hosts of customers' URLs that may be private and reached over plain http, as URLs write them. */
  webhookAllowHosts: ReadonlySet<string>
  /** No setting changes these; tests do. */
  timings: Timings
  /** Made for the memory that the process may have. No setting changes these; tests do. */
  bounds: Bounds
}

export interface HttpSettings {
  host: string
  port: number
  /** Where clients reach this API, without a trailing slash and without /v1. */
  publicUrl: string
  /** How many proxies in front add to the X-Forwarded headers; 0 = none, and the headers are ignored. */
  trustedProxies: number
  /** Pages of which other origins may call, for browsers. */
  allowedOrigins: AllowedOrigins
}

const QUEUE_CONNECTIONS_MAX = 6
const STANDARD_MULTIPLIER_BPS = 10_000

/** Reads and validates the environment. Throws SettingErrors, which names every setting at fault. */
export function readConfig(env: Environment): Config {
  const isOnDisk = optionalSetting(env, 'SLUICE_S3_ENDPOINT') === undefined
  const { redisUrl, models, s3, internalUrl, urlSecret, ...read } = readSettings({
    http: () => readHttp(env),
    dataDir: () => folderSetting(env, 'SLUICE_DATA_DIR', '.sluice'),
    database: () => readDatabase(env),
    redisUrl: () => redisUrlSetting(env, 'REDIS_URL'),
    currency: () => readCurrency(env),
    models: () => readModels(env),
    accountSharePercent: () => integerSetting(env, 'SLUICE_ACCOUNT_SHARE_PERCENT', 75, { min: 1, max: 100 }),
    flexRunMsMin: () => 1_000 * integerSetting(env, 'SLUICE_FLEX_RUN_SECONDS', 30, { min: 0, max: 86_400 }),
    switchMs: () => 1_000 * integerSetting(env, 'SLUICE_SWITCH_SECONDS', 20, { min: 0, max: 3_600 }),
    switchWaitMsMax: () =>
      1_000 * integerSetting(env, 'SLUICE_SWITCH_WAIT_SECONDS', 300, { min: 0, max: 86_400 }),
    queueMsWanted: () => 1_000 * integerSetting(env, 'SLUICE_QUEUE_SECONDS', 300, { min: 1, max: 86_400 }),
    attemptsMax: () => integerSetting(env, 'SLUICE_ATTEMPTS_MAX', 3, { min: 1, max: 100 }),
    workerToken: () => readChosenSecret(env, 'SLUICE_WORKER_TOKEN'),
    adminKey: () => readAdminKey(env),
    retentionSeconds: () => readRetention(env),
    // Deliveries are tried for three days, and videos live no longer.
    webhookLogDays: () => integerSetting(env, 'SLUICE_WEBHOOK_LOG_DAYS', 30, { min: 4, max: 10_000 }),
    attemptDays: () => integerSetting(env, 'SLUICE_ATTEMPT_DAYS', 90, { min: 7, max: 10_000 }),
    moderation: () => readModeration(env),
    refiner: () => readRefiner(env),
    stripe: () => readStripe(env),
    logLevel: () => choiceSetting(env, 'SLUICE_LOG', 'info', ['debug', 'info', 'warn', 'error', 'silent']),
    tierMultiplierBps: () => readTierMultipliers(env),
    webhookAllowHosts: () => readAllowHosts(env, 'SLUICE_WEBHOOK_ALLOW_HOSTS'),
    s3: () => readS3(env),
    // With S3 these two mean nothing, so whatever they hold is no fault.
    internalUrl: () => (isOnDisk ? baseUrlSetting(env, 'SLUICE_INTERNAL_URL') : undefined),
    urlSecret: () => (isOnDisk ? readChosenSecret(env, 'SLUICE_SECRET') : undefined),
  })
  const { database, http, dataDir } = read
  return {
    ...read,
    ...models,
    queue:
      redisUrl === undefined
        ? { backend: 'postgres', url: database.url, connectionsMax: QUEUE_CONNECTIONS_MAX }
        : { backend: 'redis', url: redisUrl },
    store: s3 ?? {
      kind: 'disk',
      dir: join(dataDir, 'objects'),
      // Workers reach the disk store through the API.
      baseUrl: internalUrl ?? ownUrl(http.host, http.port),
      publicBaseUrl: http.publicUrl,
      secret: urlSecret ?? { file: join(dataDir, 'secret') },
    },
    timings: DEFAULT_TIMINGS,
    bounds: boundsFor(memoryBytes()),
  }
}

/** Of the container, or of the machine when nothing limits the process (0, or more than there is). */
function memoryBytes(): number {
  const limit = process.constrainedMemory()
  return limit === 0 ? totalmem() : Math.min(limit, totalmem())
}

function readHttp(env: Environment): HttpSettings {
  const { publicUrl, ...read } = readSettings({
    host: () => hostSetting(env, 'HOST', '127.0.0.1'),
    port: () => portSetting(env, 'PORT', 3000, 0),
    publicUrl: () => baseUrlSetting(env, 'SLUICE_PUBLIC_URL'),
    trustedProxies: () => integerSetting(env, 'SLUICE_TRUST_PROXY', 0, { min: 0, max: 10 }),
    allowedOrigins: () => readAllowedOrigins(env, 'SLUICE_ALLOWED_ORIGINS'),
  })
  return { ...read, publicUrl: publicUrl ?? ownUrl(read.host, read.port) }
}

function readDatabase(env: Environment): Config['database'] {
  return readSettings({
    url: () => readDatabaseUrl(env),
    connectionsMax: () =>
      integerSetting(env, 'SLUICE_DATABASE_CONNECTIONS', 20, { min: CONNECTIONS_MIN, max: 500 }),
  })
}

function readDatabaseUrl(env: Environment): string {
  const url = databaseUrlSetting(env, 'SLUICE_DATABASE_URL')
  if (url !== undefined) return url
  throw new SettingError(
    'SLUICE_DATABASE_URL',
    undefined,
    'the URL of a PostgreSQL database (npm start provides an embedded one)',
  )
}

/**
 * A secret that the operator chose, undefined when unset. Whoever guesses one gets in, so where others can
 * try, it must look random. Throws SettingError.
 */
function readChosenSecret(env: Environment, name: string): string | undefined {
  const secret = secretSetting(env, name, { charsMin: SECRET_CHARS_MIN })
  if (secret === undefined || !isGuessable(secret)) return secret
  const host = hostSetting(env, 'HOST', '127.0.0.1')
  if (isLoopback(host)) return secret
  throw new SettingError(
    name,
    `(a secret that can be guessed, with HOST=${host})`,
    `allowed are ${allowedSecret(SECRET_CHARS_MIN)}`,
  )
}

/** Throws SettingError also when it is the worker token: one secret is one key, with one scope. */
function readAdminKey(env: Environment): string | undefined {
  const key = readChosenSecret(env, 'SLUICE_ADMIN_KEY')
  if (key === undefined || key !== optionalSetting(env, 'SLUICE_WORKER_TOKEN')) return key
  throw new SettingError('SLUICE_ADMIN_KEY', '(the worker token)', 'allowed is a secret of its own')
}

/** In basis points of the price of tier standard. */
function readTierMultipliers(env: Environment): Record<ServiceTier, number> {
  const bounds = { min: 1, max: 1_000_000 }
  return readSettings({
    priority: () => integerSetting(env, 'SLUICE_PRIORITY_MULTIPLIER_BPS', 15_000, bounds),
    standard: () => STANDARD_MULTIPLIER_BPS,
    flex: () => integerSetting(env, 'SLUICE_FLEX_MULTIPLIER_BPS', 5_000, bounds),
  })
}

function readRetention(env: Environment): number | null {
  if (optionalSetting(env, 'SLUICE_RETENTION_DAYS') === undefined) return null
  return integerSetting(env, 'SLUICE_RETENTION_DAYS', 0, { min: 1, max: 10_000 }) * 86_400
}

function readCurrency(env: Environment): string {
  const currency = optionalSetting(env, 'SLUICE_CURRENCY') ?? 'USD'
  if (!/^[A-Z]{3}$/.test(currency))
    throw new SettingError('SLUICE_CURRENCY', currency, 'allowed is a three-letter code such as USD')
  return currency
}
