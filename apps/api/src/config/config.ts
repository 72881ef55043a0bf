import { join, resolve } from 'node:path'
import { readCatalogue } from '@sluice/shared/catalogue-file'
import { defaultModelOf } from '@sluice/shared/default-model'
import type { Catalogue } from '@sluice/shared/model-catalogue'
import { ownUrl } from '@sluice/shared/own-address'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import type { ServiceTier } from '@sluice/shared/service-tier'
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
import { DEFAULT_TIMINGS, type Timings } from './timings.ts'

/** Everything the API can be told, judged. */
export interface Config {
  http: HttpSettings
  dataDir: string
  database: { url: string; connectionsMax: number }
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
  /** No setting changes these; tests do. */
  timings: Timings
}

export interface HttpSettings {
  host: string
  port: number
  /** Where clients reach this API, without a trailing slash and without /v1. */
  publicUrl: string
  /** How many proxies stand in front, each adding to the X-Forwarded headers; 0 = none, and the headers are not believed. */
  trustedProxies: number
}

/** The operator's hook that is asked about each prompt. */
export interface ModerationSettings {
  url: string
  key: string | undefined
  /** Accept prompts while the hook cannot be asked; else they are refused with 503. */
  failOpen: boolean
  timeoutMs: number
}

/** The chat model that rewrites prompts on request. */
export interface RefinerSettings {
  /** An OpenAI-compatible API's base URL, or its chat completions call itself. */
  url: string
  model: string
  key: string | undefined
  timeoutMs: number
}

const QUEUE_CONNECTIONS_MAX = 6
const SECRET_CHARS_MIN = 32

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
    secret: () => secretSetting(env),
  })
  const dataDir = resolve(optionalSetting(env, 'SLUICE_DATA_DIR') ?? '.sluice')
  const localUrl = ownUrl(judged.host, judged.port)
  const publicUrl = judged.publicUrl ?? localUrl
  return {
    http: { host: judged.host, port: judged.port, publicUrl, trustedProxies: judged.trustedProxies },
    dataDir,
    database: { url: judged.databaseUrl, connectionsMax: judged.connections },
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
      secret: judged.secret ?? { file: join(dataDir, 'secret') },
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
    timings: DEFAULT_TIMINGS,
  }
}

/** SLUICE_SECRET; null = one is generated at the first start. API processes that serve the same objects need the same one. */
function secretSetting(env: Environment): string | null {
  const secret = optionalSetting(env, 'SLUICE_SECRET')
  if (secret === undefined) return null
  if (secret.length >= SECRET_CHARS_MIN) return secret
  throw new SettingError(
    'SLUICE_SECRET',
    `${secret.length} characters`,
    `at least ${SECRET_CHARS_MIN} random characters`,
  )
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
  const defaultModel = optionalSetting(env, 'SLUICE_DEFAULT_MODEL') ?? defaultModelOf(env)
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
