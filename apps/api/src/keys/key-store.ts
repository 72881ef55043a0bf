import { type Database, one } from '../db/database.ts'
import type { BudgetInterval, Scope } from './api-key.ts'

/** A row of table api_key without its hash, and what its budget's interval has used. */
export interface StoredKey {
  id: string
  account_id: string | null
  name: string
  prefix: string
  scopes: Scope[]
  models: string[] | null
  token_budget: bigint | null
  budget_interval: BudgetInterval
  requests_per_minute: number | null
  queued_max: number | null
  running_max: number | null
  created_at: Date
  expires_at: Date | null
  revoked_at: Date | null
}

/** The columns of a StoredKey. */
export const KEY_COLUMNS = `id, account_id, name, prefix, scopes, models, token_budget, budget_interval, requests_per_minute, queued_max, running_max,
  created_at, expires_at, revoked_at`

/** A key, also an expired or revoked one; null when there is none of that id. */
export async function readKey(db: Database, keyId: string): Promise<StoredKey | null> {
  const { rows } = await db.query<StoredKey>({
    text: `select ${KEY_COLUMNS} from api_key where id = $1`,
    values: [keyId],
  })
  return rows[0] ?? null
}

/** A page of keys, newest first: an account's, or all there are when `accountId` is null. Answers one more than `limit` if there is one. */
export async function listKeys(
  db: Database,
  accountId: string | null,
  page: { after?: string | undefined; limit: number },
): Promise<StoredKey[]> {
  const { rows } = await db.query<StoredKey>({
    text: `select ${KEY_COLUMNS} from api_key where ($1::text is null or account_id = $1) and ($2::text is null or id < $2)
    order by id desc limit $3`,
    values: [accountId, page.after ?? null, page.limit + 1],
  })
  return rows
}

/** Revokes a key for good, from the next request on; null when there is none of that id. Revoking twice keeps the first time. */
export async function revokeKey(
  db: Database,
  keyId: string,
): Promise<{ key: StoredKey; isNew: boolean } | null> {
  const revoked = await db.query<StoredKey>({
    text: `update api_key set revoked_at = now() where id = $1 and revoked_at is null returning ${KEY_COLUMNS}`,
    values: [keyId],
  })
  const key = revoked.rows[0]
  if (key !== undefined) return { key, isNew: true }
  const earlier = await readKey(db, keyId)
  return earlier === null ? null : { key: earlier, isNew: false }
}

/** A key's videos that wait, and those that hold a device or are on their way to one. */
export interface KeyLoad {
  queued: bigint
  running: bigint
}

/** Reads what a key has in the queue and on devices now. */
export async function readLoad(db: Database, key: { id: string; accountId: string }): Promise<KeyLoad> {
  return one(
    await db.query<KeyLoad>({
      name: 'key-load',
      text: `select (select count(*) from video where account_id = $1 and key_id = $2 and status = 'queued') as queued,
        (select count(*) from device_occupant where key_id = $2) as running`,
      values: [key.accountId, key.id],
    }),
  )
}
