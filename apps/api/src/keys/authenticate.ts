import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { type BudgetInterval, hashKey, type KeyLimits, type Scope } from './api-key.ts'

/** Who calls. */
export interface Key {
  id: string
  accountId: string | null
  scopes: readonly Scope[]
  limits: KeyLimits
}

/** A key of a tenant. */
export interface AccountKey extends Key {
  accountId: string
}

interface KeyRow {
  id: string
  account_id: string | null
  scopes: Scope[]
  models: string[] | null
  token_budget: bigint | null
  budget_interval: BudgetInterval
  requests_per_minute: number | null
  queued_max: number | null
  running_max: number | null
}

/** The key of an `Authorization: Bearer` header. Throws SluiceError when there is none or it is unknown, expired or revoked. */
export async function authenticate(db: Database, authorization: string | undefined): Promise<Key> {
  const secret = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
  if (secret === undefined) {
    throw new SluiceError(
      'missing_api_key',
      'Send your API key in the header: Authorization: Bearer <key>.',
      'Authorization',
    )
  }
  const { rows } = await db.query<KeyRow>({
    name: 'key-authenticate',
    text: `select id, account_id, scopes, models, token_budget, budget_interval, requests_per_minute, queued_max, running_max from api_key
    where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())`,
    values: [hashKey(secret)],
  })
  const row = rows[0]
  if (row === undefined)
    throw new SluiceError('invalid_api_key', 'This API key is unknown, expired or revoked.', 'Authorization')
  const limits = {
    models: row.models,
    tokenBudget: row.token_budget,
    budgetInterval: row.budget_interval,
    requestsPerMinute: row.requests_per_minute,
    queuedMax: row.queued_max,
    runningMax: row.running_max,
  }
  return { id: row.id, accountId: row.account_id, scopes: row.scopes, limits }
}

/** Throws SluiceError unless the key has the scope. */
export function requireScope(key: Key, scope: Scope): void {
  if (!key.scopes.includes(scope)) {
    throw new SluiceError(
      'insufficient_scope',
      `This key has scope ${key.scopes.join(', ')}; this call needs ${scope}.`,
      'Authorization',
    )
  }
}

/** Throws SluiceError unless the key belongs to an account and has the scope. */
export function requireAccountKey(key: Key, scope: Scope): AccountKey {
  requireScope(key, scope)
  if (key.accountId === null)
    throw new SluiceError('insufficient_scope', 'This key belongs to no account.', 'Authorization')
  return { ...key, accountId: key.accountId }
}

/** Whether the key may ask for the model (its own id, no alias). */
export function mayAskFor({ limits: { models } }: Key, model: string): boolean {
  return models === null || models.includes(model)
}

/** Throws SluiceError unless the key may ask for the model (its own id, no alias). */
export function requireModel(key: Key, model: string): void {
  if (!mayAskFor(key, model)) {
    throw new SluiceError(
      'model_not_allowed',
      `model is ${model}: this key may ask for ${key.limits.models?.join(', ')}.`,
      'model',
    )
  }
}
