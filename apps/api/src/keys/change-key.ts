import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, one, transaction } from '../db/database.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import { KEY_COLUMNS, type KeyDetails, keyDetails, lockKey, type StoredKey } from './key-store.ts'

const LIMITS = ['models', 'token_budget', 'requests_per_minute', 'queued_max', 'running_max'] as const

/**
 * What may be changed of a key; what is not named stays as it is. An account's key has one of the scopes
 * `videos:*`, never `worker`.
 */
export type KeyChanges = Partial<
  Pick<StoredKey, 'name' | 'scopes' | 'expires_at' | 'budget_interval' | (typeof LIMITS)[number]>
>

/**
 * Changes a key that is not revoked, from the next request on, and records in the audit what differs; an
 * expired key lives again when it is given more time. `adminKeyId` is the admin key that asks. Throws
 * SluiceError: `not_found`, or for a change that this key cannot have.
 */
export async function changeKey(
  context: Context,
  adminKeyId: string,
  keyId: string,
  changes: KeyChanges,
): Promise<StoredKey> {
  const changed = await transaction(context.db, async (db) => {
    const before = await lockKey(db, keyId)
    requireAllowed(before, changes, adminKeyId)
    const after = await updateKey(db, { ...before, ...changes })
    const details = differenceOf(keyDetails(before), keyDetails(after))
    if (details !== null)
      await recordChange(db, { keyId: adminKeyId, action: 'key.changed', subject: keyId, details })
    return after
  })
  // A limit on running videos counts from the gate's next pass on.
  context.wakeGate()
  return changed
}

async function updateKey(db: Database, key: StoredKey): Promise<StoredKey> {
  return one(
    await db.query<StoredKey>({
      text: `update api_key set name = $2, scopes = $3, expires_at = $4, models = $5, token_budget = $6,
        budget_interval = $7, requests_per_minute = $8, queued_max = $9, running_max = $10
      where id = $1 returning ${KEY_COLUMNS}`,
      values: [
        key.id,
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
    }),
  )
}

/** The fields that differ, before and after the change; null when none does. */
function differenceOf(before: KeyDetails, after: KeyDetails): { before: object; after: object } | null {
  const changed = (Object.keys(after) as (keyof KeyDetails)[]).filter(
    (field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  )
  if (changed.length === 0) return null
  const only = (key: KeyDetails) => Object.fromEntries(changed.map((field) => [field, key[field]]))
  return { before: only(before), after: only(after) }
}

function requireAllowed(key: StoredKey, changes: KeyChanges, adminKeyId: string): void {
  if (key.revoked_at !== null) {
    throw new SluiceError(
      'state_conflict',
      'This key is revoked, for good: make another one instead of changing it.',
      'key_id',
    )
  }
  if (key.account_id === null) requireAllowedOfOperatorKey(key, changes)
  if (key.id === adminKeyId && changes.scopes?.includes('admin') === false) {
    throw new SluiceError(
      'state_conflict',
      'This is the key you ask with: take admin from it with another admin key.',
      'scopes',
    )
  }
}

/**
 * Admin keys and worker tokens have one scope, which their prefix says, and no limits: the database checks
 * it, this names the field.
 */
function requireAllowedOfOperatorKey(key: StoredKey, changes: KeyChanges): void {
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
