import { createHash, randomBytes } from 'node:crypto'
import { newId } from '@sluice/shared/ids'
import type { Database } from '../db/database.ts'

export type Scope = 'videos:read' | 'videos:write' | 'admin' | 'worker'

const PREFIX_CHARS = 12
const KEY_PREFIXES = { account: 'sk-sluice-', admin: 'sk-admin-', worker: 'wk-sluice-' } as const

export interface NewKey {
  id: string
  /** Shown once; only its hash is kept. */
  secret: string
}

/** Makes a key: 256 random bits after a prefix that says what it is for. */
export async function createKey(
  db: Database,
  key: { accountId: string | null; scopes: readonly Scope[]; kind: keyof typeof KEY_PREFIXES },
): Promise<NewKey> {
  const secret = KEY_PREFIXES[key.kind] + randomBytes(32).toString('base64url')
  return { id: await storeKey(db, { ...key, secret }), secret }
}

/** Stores a key somebody else drew (a worker token from the environment); storing it again changes nothing. Answers its id. */
export async function storeKey(db: Database, key: { accountId: string | null; scopes: readonly Scope[]; secret: string }): Promise<string> {
  const hash = hashKey(key.secret)
  const id = newId('key')
  const { rows } = await db.query<{ id: string }>({
    text: `insert into api_key (id, account_id, hash, prefix, scopes) values ($1, $2, $3, $4, $5)
    on conflict (hash) do update set hash = excluded.hash returning id`,
    values: [id, key.accountId, hash, key.secret.slice(0, PREFIX_CHARS), [...key.scopes]],
  })
  return rows[0]?.id ?? id
}

/** SHA-256 of a key: enough for 256 random bits, and fast enough for every request. */
export function hashKey(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
