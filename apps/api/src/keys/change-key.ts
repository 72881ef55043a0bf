import { type Database, one } from '../db/database.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import { KEY_COLUMNS, type StoredKey } from './key-store.ts'

const LIMITS = ['models', 'token_budget', 'requests_per_minute', 'queued_max', 'running_max'] as const

/** What may be changed of a key; what is not named stays as it is. An account's key has one of the scopes `videos:*`, never `worker`. */
export type KeyChanges = Partial<
  Pick<StoredKey, 'name' | 'scopes' | 'expires_at' | 'budget_interval' | (typeof LIMITS)[number]>
>

/**
 * Changes a key that is not revoked, from the next request on; an expired one lives again when it is given more time. Its
 * row is locked until the caller's transaction ends. `askingKeyId` is the admin key that asks. Answers the key before and
 * after, or null when there is none of that id. Throws SluiceError for a change that this key cannot have.
 */
export async function changeKey(
  db: Database,
  keyId: string,
  changes: KeyChanges,
  askingKeyId: string,
): Promise<{ before: StoredKey; after: StoredKey } | null> {
  const locked = await db.query<StoredKey>({
    text: `select ${KEY_COLUMNS} from api_key where id = $1 for no key update`,
    values: [keyId],
  })
  const before = locked.rows[0]
  if (before === undefined) return null
  judgeChanges(before, changes, askingKeyId)
  const key = { ...before, ...changes }
  const changed = await db.query<StoredKey>({
    text: `update api_key set name = $2, scopes = $3, expires_at = $4, models = $5, token_budget = $6, budget_interval = $7,
      requests_per_minute = $8, queued_max = $9, running_max = $10 where id = $1 returning ${KEY_COLUMNS}`,
    values: [
      keyId,
      key.name,
      key.scopes,
      key.expires_at,
      key.models,
      key.token_budget,
      key.budget_interval,
      key.requests_per_minute,
      key.queued_max,
      key.running_max,
    ],
  })
  return { before, after: one(changed) }
}

function judgeChanges(key: StoredKey, changes: KeyChanges, askingKeyId: string): void {
  if (key.revoked_at !== null) {
    throw new SluiceError(
      'state_conflict',
      'This key is revoked, for good: make another one instead of changing it.',
      'key_id',
    )
  }
  if (key.account_id === null) judgeOperatorKey(key, changes)
  if (key.id === askingKeyId && changes.scopes?.includes('admin') === false) {
    throw new SluiceError(
      'state_conflict',
      'This is the key you ask with: take admin from it with another admin key.',
      'scopes',
    )
  }
}

/** Admin keys and worker tokens have one scope, which their prefix says, and no limits: the database checks it, this names the field. */
function judgeOperatorKey(key: StoredKey, changes: KeyChanges): void {
  if (changes.scopes !== undefined) {
    throw invalidValue(
      'scopes',
      changes.scopes,
      `none, since this key belongs to no account: it stays ${key.scopes.join(', ')}`,
    )
  }
  for (const limit of LIMITS) {
    const given = changes[limit] ?? null
    if (given !== null) throw invalidValue(limit, given, 'null, since this key belongs to no account')
  }
  if ((changes.budget_interval ?? 'none') !== 'none') {
    throw invalidValue(
      'budget_interval',
      changes.budget_interval,
      'none, since this key belongs to no account',
    )
  }
}
