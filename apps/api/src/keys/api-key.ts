import { createHash, randomBytes } from 'node:crypto'
import { newId } from '@sluice/shared/ids'
import { type Database, one } from '../db/database.ts'

export const SCOPES = ['videos:read', 'videos:write', 'admin', 'worker'] as const
export type Scope = (typeof SCOPES)[number]

/** How often a budget starts anew: each UTC day, every 30 UTC days counted from the day the key was made, or never. */
export const BUDGET_INTERVALS = ['day', '30d', 'none'] as const
export type BudgetInterval = (typeof BUDGET_INTERVALS)[number]

const PREFIX_CHARS = 12
const KEY_PREFIXES = { account: 'sk-sluice-', admin: 'sk-admin-', worker: 'wk-sluice-' } as const

/** What an account's key may do beside its scopes; null and `none` mean no limit. */
export interface KeyLimits {
  /** Ids of the models it may ask for. */
  models: readonly string[] | null
  /** Generated tokens it may submit per interval. */
  tokenBudget: bigint | null
  budgetInterval: BudgetInterval
  requestsPerMinute: number | null
  /** Videos it may have queued; more are refused. */
  queuedMax: number | null
  /** Videos it may have running at once; more wait queued. */
  runningMax: number | null
}

export const NO_LIMITS: KeyLimits = {
  models: null,
  tokenBudget: null,
  budgetInterval: 'none',
  requestsPerMinute: null,
  queuedMax: null,
  runningMax: null,
}

export interface NewKey {
  id: string
  /** Shown once; only its hash is kept. */
  secret: string
}

/** What is said of a key when it is stored; without limits and expiry unless told. */
export interface KeySettings {
  /** Null for the operator's keys and for worker tokens. */
  accountId: string | null
  scopes: readonly Scope[]
  name?: string
  expiresAt?: Date | null
  limits?: KeyLimits
}

/** Makes a key: 256 random bits after a prefix that says what it is for. */
export async function createKey(
  db: Database,
  key: KeySettings & { kind: keyof typeof KEY_PREFIXES },
): Promise<NewKey> {
  const secret = KEY_PREFIXES[key.kind] + randomBytes(32).toString('base64url')
  return { id: await storeKey(db, { ...key, secret }), secret }
}

/** Stores a key somebody else drew (a worker token from the environment); storing it again changes nothing. Answers its id. */
export async function storeKey(db: Database, key: KeySettings & { secret: string }): Promise<string> {
  const limits = key.limits ?? NO_LIMITS
  const stored = await db.query<{ id: string }>({
    text: `insert into api_key (id, account_id, hash, prefix, scopes, name, expires_at, models, token_budget, budget_interval, requests_per_minute,
      queued_max, running_max)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    on conflict (hash) do update set hash = excluded.hash returning id`,
    values: [
      newId('key'),
      key.accountId,
      hashKey(key.secret),
      key.secret.slice(0, PREFIX_CHARS),
      [...key.scopes],
      key.name ?? '',
      key.expiresAt ?? null,
      limits.models,
      limits.tokenBudget,
      limits.budgetInterval,
      limits.requestsPerMinute,
      limits.queuedMax,
      limits.runningMax,
    ],
  })
  return one(stored).id
}

/** SHA-256 of a key: enough for 256 random bits, and fast enough for every request. */
export function hashKey(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
