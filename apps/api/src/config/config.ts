import { resolve } from 'node:path'
import { readCatalogue } from '@sluice/shared/catalogue-file'
import type { Catalogue } from '@sluice/shared/model-catalogue'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import {
  booleanSetting,
  choiceSetting,
  type Environment,
  integerSetting,
  optionalSetting,
  readSettings,
  requiredSetting,
  SettingError,
  urlSetting,
} from '@sluice/shared/settings'
import { hostOf } from '../outgoing/outgoing-url.ts'
import type { StoreSettings } from '../storage/open-store.ts'
import type { ModerationSettings } from '../videos/moderation.ts'
import type { ServiceTier } from '../videos/video.ts'
import type { RefinerSettings } from '../videos/wording.ts'
import { readSecret } from './secrets.ts'

/** Everything the API can be told, judged. */
export interface Config {
  host: string
  port: number
  /** Where clients reach this API, without a trailing slash and without /v1. */
  publicUrl: string
  /** How many proxies stand in front, each adding to the X-Forwarded headers; 0 = none, and the headers are not believed. */
  trustedProxies: number
  dataDir: string
  databaseUrl: string
  databaseConnectionsMax: number
  queue: QueueSettings
  store: StoreSettings
  currency: string
  catalogue: Catalogue
  /** Of the catalogue, and open to every account. */
  defaultModel: string
  tierMultiplierBps: Record<ServiceTier, number>
  /** Share of a pool's slots one account may hold while other accounts are active. */
  accountSharePercent: number
  /** Workers or runners that may end on one video without progress before it fails. */
  attemptsMax: number
  /** A worker token known beforehand, for deployments that hand it to both sides. */
  workerToken: string | undefined
  logLevel: string
  /** How long the files of a completed video are kept; null = for good. */
  retentionSeconds: number | null
  moderation: ModerationSettings | null
  refiner: RefinerSettings | null
  /** Hosts of customers' URLs that may be private and reached by plain http, as URLs name them. */
  webhookAllowHosts: ReadonlySet<string>
  /** How long an attempt may go unnamed, and how often the reconciler looks. */
  leaseMs: number
  reconcileEveryMs: number
  cancelAnswerMs: number
  /** How often watched videos are looked at, and how often a stream says that it is still there. */
  watchEveryMs: number
  heartbeatEveryMs: number
}

const QUEUE_CONNECTIONS_MAX = 6

/** Reads and judges the environment. Throws SettingErrors, which name every setting at fault. */
export function readConfig(env: Environment): Config {
  const judged = readSettings({
    host: () => optionalSetting(env, 'HOST') ?? '127.0.0.1',
    port: () => integerSetting(env, 'PORT', 3000, { min: 0, max: 65_535 }),
    databaseUrl: () =>
      requiredSetting(
        env,
        'SLUICE_DATABASE_URL',
        'the URL of a PostgreSQL database (npm start provides an embedded one)',
      ),
    publicUrl: () => urlSetting(env, 'SLUICE_PUBLIC_URL', ['http', 'https'])?.replace(/\/+$/, ''),
    redisUrl: () => urlSetting(env, 'REDIS_URL', ['redis', 'rediss']),
    currency: () => currencySetting(env),
    models: () => modelSettings(env),
    connections: () => integerSetting(env, 'SLUICE_DATABASE_CONNECTIONS', 20, { min: 4, max: 500 }),
    accountSharePercent: () => integerSetting(env, 'SLUICE_ACCOUNT_SHARE_PERCENT', 75, { min: 1, max: 100 }),
    attemptsMax: () => integerSetting(env, 'SLUICE_ATTEMPTS_MAX', 3, { min: 1, max: 100 }),
    trustedProxies: () => integerSetting(env, 'SLUICE_TRUST_PROXY', 0, { min: 0, max: 10 }),
    retentionSeconds: () => retentionSetting(env),
    moderation: () => moderationSettings(env),
    refiner: () => refinerSettings(env),
    logLevel: () => choiceSetting(env, 'SLUICE_LOG', 'info', ['debug', 'info', 'warn', 'error', 'silent']),
    priorityBps: () =>
      integerSetting(env, 'SLUICE_PRIORITY_MULTIPLIER_BPS', 15_000, { min: 1, max: 1_000_000 }),
    flexBps: () => integerSetting(env, 'SLUICE_FLEX_MULTIPLIER_BPS', 5_000, { min: 1, max: 1_000_000 }),
    webhookAllowHosts: () => hostsSetting(env, 'SLUICE_WEBHOOK_ALLOW_HOSTS'),
    s3: () => s3Settings(env),
  })
  const dataDir = resolve(optionalSetting(env, 'SLUICE_DATA_DIR') ?? '.sluice')
  const localUrl = `http://${judged.host === '0.0.0.0' || judged.host === '::' ? '127.0.0.1' : judged.host}:${judged.port}`
  const publicUrl = judged.publicUrl ?? localUrl
  return {
    host: judged.host,
    port: judged.port,
    publicUrl,
    trustedProxies: judged.trustedProxies,
    dataDir,
    databaseUrl: judged.databaseUrl,
    databaseConnectionsMax: judged.connections,
    queue:
      judged.redisUrl === undefined
        ? { backend: 'postgres', url: judged.databaseUrl, connectionsMax: QUEUE_CONNECTIONS_MAX }
        : { backend: 'redis', url: judged.redisUrl },
    store: judged.s3 ?? {
      kind: 'disk',
      dir: resolve(dataDir, 'objects'),
      // Workers reach the disk store through the API, at the address they know it by.
      baseUrl: optionalSetting(env, 'SLUICE_INTERNAL_URL')?.replace(/\/+$/, '') ?? localUrl,
      publicBaseUrl: publicUrl,
      secret: readSecret(env, dataDir),
    },
    currency: judged.currency,
    ...judged.models,
    tierMultiplierBps: { priority: judged.priorityBps, standard: 10_000, flex: judged.flexBps },
    accountSharePercent: judged.accountSharePercent,
    attemptsMax: judged.attemptsMax,
    workerToken: optionalSetting(env, 'SLUICE_WORKER_TOKEN'),
    logLevel: judged.logLevel,
    webhookAllowHosts: judged.webhookAllowHosts,
    retentionSeconds: judged.retentionSeconds,
    moderation: judged.moderation,
    refiner: judged.refiner,
    leaseMs: 20_000,
    reconcileEveryMs: 1_000,
    cancelAnswerMs: 30_000,
    watchEveryMs: 500,
    heartbeatEveryMs: 15_000,
  }
}

function retentionSetting(env: Environment): number | null {
  if (optionalSetting(env, 'SLUICE_RETENTION_DAYS') === undefined) return null
  return integerSetting(env, 'SLUICE_RETENTION_DAYS', 0, { min: 1, max: 10_000 }) * 86_400
}

const ASK_MS = { min: 100, max: 60_000 }

function moderationSettings(env: Environment): ModerationSettings | null {
  const url = urlSetting(env, 'SLUICE_MODERATION_URL', ['http', 'https'])
  if (url === undefined) return null
  return {
    url,
    key: optionalSetting(env, 'SLUICE_MODERATION_KEY'),
    failOpen: booleanSetting(env, 'SLUICE_MODERATION_FAIL_OPEN', false),
    timeoutMs: integerSetting(env, 'SLUICE_MODERATION_TIMEOUT_MS', 5_000, ASK_MS),
  }
}

function refinerSettings(env: Environment): RefinerSettings | null {
  const url = urlSetting(env, 'SLUICE_REFINER_URL', ['http', 'https'])
  if (url === undefined) return null
  return {
    url,
    model: requiredSetting(env, 'SLUICE_REFINER_MODEL', 'the model that SLUICE_REFINER_URL is asked for'),
    key: optionalSetting(env, 'SLUICE_REFINER_KEY'),
    timeoutMs: integerSetting(env, 'SLUICE_REFINER_TIMEOUT_MS', 10_000, ASK_MS),
  }
}

function currencySetting(env: Environment): string {
  const currency = optionalSetting(env, 'SLUICE_CURRENCY') ?? 'USD'
  if (!/^[A-Z]{3}$/.test(currency))
    throw new SettingError('SLUICE_CURRENCY', currency, 'allowed is a three-letter code such as USD')
  return currency
}

function modelSettings(env: Environment): Pick<Config, 'catalogue' | 'defaultModel'> {
  const catalogue = readCatalogue(env)
  const runner = optionalSetting(env, 'SLUICE_RUNNER')
  const defaultModel =
    optionalSetting(env, 'SLUICE_DEFAULT_MODEL') ?? (runner === 'open-sora' ? 'open-sora-2' : 'animatic')
  const model = catalogue.find(defaultModel)
  const open = catalogue.models.filter((known) => known.accounts === null).map((known) => known.id)
  if (model === undefined)
    throw new SettingError('SLUICE_DEFAULT_MODEL', defaultModel, `known models are ${open.join(', ')}`)
  if (model.accounts !== null) {
    throw new SettingError(
      'SLUICE_DEFAULT_MODEL',
      defaultModel,
      `is private to some accounts; allowed are ${open.join(', ')}`,
    )
  }
  return { catalogue, defaultModel }
}

/** Host names and addresses between commas, written as URLs write them (lower case, IPv6 without brackets). */
function hostsSetting(env: Environment, name: string): ReadonlySet<string> {
  const entries = (optionalSetting(env, name) ?? '')
    .split(',')
    .map((entry) => entry.trim().replace(/\.+$/, ''))
  const hosts = entries.filter((entry) => entry !== '').map((entry) => ({ entry, host: hostIn(entry) }))
  const wrong = hosts.find(({ host }) => host === null)
  if (wrong !== undefined) {
    throw new SettingError(
      name,
      wrong.entry,
      'allowed are host names and addresses between commas, without scheme, port and path',
    )
  }
  return new Set(hosts.flatMap(({ host }) => host ?? []))
}

function hostIn(entry: string): string | null {
  const text = `http://${entry.includes(':') && !entry.startsWith('[') ? `[${entry}]` : entry}`
  if (/[/@?#\\]|^\[.*[^\]]$/.test(entry) || !URL.canParse(text)) return null
  const url = new URL(text)
  return url.port === '' ? hostOf(url) : null
}

function s3Settings(env: Environment): StoreSettings | undefined {
  const endpoint = urlSetting(env, 'SLUICE_S3_ENDPOINT', ['http', 'https'])
  if (endpoint === undefined) return undefined
  const publicEndpoint = urlSetting(env, 'SLUICE_S3_PUBLIC_ENDPOINT', ['http', 'https'])
  return {
    kind: 's3',
    endpoint,
    ...(publicEndpoint === undefined ? {} : { publicEndpoint }),
    bucket: optionalSetting(env, 'SLUICE_S3_BUCKET') ?? 'sluice',
    region: optionalSetting(env, 'SLUICE_S3_REGION') ?? 'us-east-1',
    forcePathStyle: true,
  }
}
