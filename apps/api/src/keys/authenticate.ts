import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import {
  allows,
  hashKey,
  type KeyLimits,
  LIMIT_COLUMNS,
  type LimitColumns,
  limitsOf,
  type Scope,
} from './api-key.ts'

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

interface KeyRow extends LimitColumns {
  hash: Buffer
  id: string
  account_id: string | null
  scopes: Scope[]
}

/** SQL: whether `key`, of table api_key, is neither revoked nor expired. */
export function isGoodSql(key: string): string {
  return `${key}.revoked_at is null and (${key}.expires_at is null or ${key}.expires_at > now())`
}

/** Keys by their hash in hex; those that are unknown, expired or revoked are not among them. */
export async function readKeys(db: Database, hashes: readonly Buffer[]): Promise<ReadonlyMap<string, Key>> {
  const { rows } = await db.query<KeyRow>({
    name: 'key-authenticate',
    text: `select hash, id, account_id, scopes, ${LIMIT_COLUMNS} from api_key
    where hash = any ($1::bytea[]) and ${isGoodSql('api_key')}`,
    values: [hashes],
  })
  return new Map(
    rows.map((row) => [
      row.hash.toString('hex'),
      { id: row.id, accountId: row.account_id, scopes: row.scopes, limits: limitsOf(row) },
    ]),
  )
}

/** The key of this secret. Throws SluiceError `invalid_api_key` when it is unknown, expired or revoked. */
export async function authenticate(db: Database, secret: string): Promise<Key> {
  const hash = hashKey(secret)
  const key = (await readKeys(db, [hash])).get(hash.toString('hex'))
  if (key === undefined) throw invalidKey()
  return key
}

/** The error for a secret that no key has, or no longer. */
export function invalidKey(): SluiceError {
  return new SluiceError('invalid_api_key', 'This API key is unknown, expired or revoked.', 'Authorization')
}

/** Throws SluiceError unless the key has the scope. */
export function requireScope(key: Key, scope: Scope): void {
  if (!allows(key.scopes, scope)) {
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
