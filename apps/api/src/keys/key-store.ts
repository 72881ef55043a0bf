import { unixSeconds } from '@sluice/shared/clock'
import { isId } from '@sluice/shared/ids'
import { type Database, one } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { type BudgetInterval, LIMIT_COLUMNS, type LimitColumns, type Scope } from './api-key.ts'
import { queueCountSql } from './queue-counts.ts'

/** A row of table api_key without its hash. */
export interface StoredKey extends LimitColumns {
  id: string
  account_id: string | null
  name: string
  prefix: string
  scopes: Scope[]
  created_at: Date
  expires_at: Date | null
  revoked_at: Date | null
}

/** The columns of a StoredKey. */
export const KEY_COLUMNS = `id, account_id, name, prefix, scopes, ${LIMIT_COLUMNS},
  created_at, expires_at, revoked_at`

/** What a key is and may do, as the audit keeps it and the operator sees it; never the secret. */
export interface KeyDetails {
  account_id: string | null
  name: string
  prefix: string
  scopes: Scope[]
  models: string[] | null
  token_budget: number | null
  budget_interval: BudgetInterval
  requests_per_minute: number | null
  queued_max: number | null
  running_max: number | null
  /** Seconds since the Unix epoch. */
  created_at: number
  /** Seconds since the Unix epoch. */
  expires_at: number | null
}

/** The details of a stored key. */
export function keyDetails(key: StoredKey): KeyDetails {
  return {
    account_id: key.account_id,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    models: key.models,
    token_budget: key.token_budget === null ? null : Number(key.token_budget),
    budget_interval: key.budget_interval,
    requests_per_minute: key.requests_per_minute,
    queued_max: key.queued_max,
    running_max: key.running_max,
    created_at: unixSeconds(key.created_at),
    expires_at: unixSeconds(key.expires_at),
  }
}

/** A key, also an expired or revoked one. Throws SluiceError `not_found` for an unknown or malformed id. */
export async function readKey(db: Database, keyId: string): Promise<StoredKey> {
  return selectKey(db, keyId, '')
}

/** As `readKey`, and locks its row until the transaction ends. */
export async function lockKey(db: Database, keyId: string): Promise<StoredKey> {
  return selectKey(db, keyId, 'for no key update')
}

async function selectKey(db: Database, keyId: string, lock: '' | 'for no key update'): Promise<StoredKey> {
  const { rows } = isId('key', keyId)
    ? await db.query<StoredKey>({
        text: `select ${KEY_COLUMNS} from api_key where id = $1 ${lock}`,
        values: [keyId],
      })
    : { rows: [] }
  const key = rows[0]
  if (key === undefined) throw new SluiceError('not_found', 'No such key.', 'key_id')
  return key
}

/**
 * A page of keys, newest first: an account's, or every key when `accountId` is null. Returns one more than
 * `limit` when another page follows.
 */
export async function listKeys(
  db: Database,
  accountId: string | null,
  page: { after?: string | undefined; limit: number },
): Promise<StoredKey[]> {
  const { rows } = await db.query<StoredKey>({
    text: `select ${KEY_COLUMNS} from api_key
    where ($1::text is null or account_id = $1) and ($2::text is null or id < $2)
    order by id desc limit $3`,
    values: [accountId, page.after ?? null, page.limit + 1],
  })
  return rows
}

/** Those of the keys that are neither revoked nor expired. */
export async function readGoodKeys(db: Database, keyIds: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ id: string }>({
    name: 'keys-good',
    text: `select id from api_key
    where id = any ($1::text[]) and revoked_at is null and (expires_at is null or expires_at > now())`,
    values: [keyIds],
  })
  return new Set(rows.map(({ id }) => id))
}

/** A key's videos that are queued, and those that occupy a slot or are on their way to one. */
export interface KeyLoad {
  queued: bigint
  running: bigint
}

/** Reads what a key has in the queue and on devices now. */
export async function readLoad(db: Database, key: { id: string; accountId: string }): Promise<KeyLoad> {
  return one(
    await db.query<KeyLoad>({
      name: 'key-load',
      text: `select queued,
        (select count(*) from device_occupant where account_id = $1 and key_id = $2) as running
      from ${queueCountSql('$1', '$2')} c`,
      values: [key.accountId, key.id],
    }),
  )
}
