import { randomBytes } from 'node:crypto'
import { newId } from '@sluice/shared/ids'
import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, one, transaction } from '../db/database.ts'
import { hashKey, type KeyLimits, LIMIT_COLUMNS, limitValues, NO_LIMITS, type Scope } from './api-key.ts'
import { KEY_COLUMNS, keyDetails, type StoredKey } from './key-store.ts'

const PREFIX_CHARS = 12
const KEY_PREFIXES = {
  account: 'sk-sluice-',
  admin: 'sk-admin-',
  'admin:read': 'sk-read-',
  'metrics:read': 'sk-metrics-',
  worker: 'wk-sluice-',
} as const

/** What a new key is; without limits and expiry by default. */
export interface KeySettings {
  /** Null for the operator's keys and for worker tokens. */
  accountId: string | null
  scopes: readonly Scope[]
  name?: string
  expiresAt?: Date | null
  limits?: KeyLimits
}

/** A key's settings, and what its secret begins with. */
export type NewKeySettings = KeySettings & { kind: keyof typeof KEY_PREFIXES }

export interface NewKey {
  stored: StoredKey
  /** Shown once; only its hash is stored. */
  secret: string
}

/**
 * Makes a key for the operator and records it in the audit. `adminKeyId` is the admin key that asks. The
 * account of `settings` must exist.
 */
export async function createKey(
  context: Context,
  adminKeyId: string,
  settings: NewKeySettings,
): Promise<NewKey> {
  return transaction(context.db, async (db) => {
    const key = await issueKey(db, settings)
    const { id } = key.stored
    await recordChange(db, {
      keyId: adminKeyId,
      action: 'key.created',
      subject: id,
      details: keyDetails(key.stored),
    })
    return key
  })
}

/** As `createKey` in the caller's transaction, for a key that no admin key asked for. */
export async function issueKeyAtStart(db: Database, settings: NewKeySettings): Promise<NewKey> {
  const key = await issueKey(db, settings)
  await recordStart(db, key.stored)
  return key
}

/** Stores a key whose secret a setting or file gives, once. What is new of it is recorded. */
export async function storeKeyAtStart(db: Database, key: KeySettings & { secret: string }): Promise<void> {
  const { rows } = await db.query({
    text: 'select from api_key where hash = $1',
    values: [hashKey(key.secret)],
  })
  const stored = await storeKey(db, key)
  if (rows.length === 0) await recordStart(db, stored)
}

function recordStart(db: Database, stored: StoredKey): Promise<void> {
  return recordChange(db, {
    keyId: null,
    action: 'key.created',
    subject: stored.id,
    details: keyDetails(stored),
  })
}

/** Makes a key without recording it: 256 random bits after a prefix that says what it is for. */
export async function issueKey(db: Database, settings: NewKeySettings): Promise<NewKey> {
  const secret = KEY_PREFIXES[settings.kind] + randomBytes(32).toString('base64url')
  return { stored: await storeKey(db, { ...settings, secret }), secret }
}

/** Stores a key whose secret is given. Repeating it changes nothing. */
async function storeKey(db: Database, key: KeySettings & { secret: string }): Promise<StoredKey> {
  const stored = await db.query<StoredKey>({
    text: `insert into api_key (id, account_id, hash, prefix, scopes, name, expires_at, ${LIMIT_COLUMNS})
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    on conflict (hash) do update set hash = excluded.hash
    returning ${KEY_COLUMNS}`,
    values: [
      newId('key'),
      key.accountId,
      hashKey(key.secret),
      key.secret.slice(0, PREFIX_CHARS),
      [...key.scopes],
      key.name ?? '',
      key.expiresAt ?? null,
      ...limitValues(key.limits ?? NO_LIMITS),
    ],
  })
  return one(stored)
}
