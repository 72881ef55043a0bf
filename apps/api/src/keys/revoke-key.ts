import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { one, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { KEY_COLUMNS, lockKey, type StoredKey } from './key-store.ts'

/**
 * Revokes a key for good, from the next request on, and records it in the audit; revoking twice keeps the
 * first time. `adminKeyId` is the admin key that asks. Throws SluiceError: `not_found`, or `state_conflict`
 * when it is that key.
 */
export async function revokeKey(context: Context, adminKeyId: string, keyId: string): Promise<StoredKey> {
  if (keyId === adminKeyId) {
    throw new SluiceError(
      'state_conflict',
      'This is the key you ask with: revoke it with another admin key.',
      'key_id',
    )
  }
  return transaction(context.db, async (db) => {
    const key = await lockKey(db, keyId)
    if (key.revoked_at !== null) return key
    const revoked = one(
      await db.query<StoredKey>({
        text: `update api_key set revoked_at = now() where id = $1 returning ${KEY_COLUMNS}`,
        values: [key.id],
      }),
    )
    await recordChange(db, {
      keyId: adminKeyId,
      action: 'key.revoked',
      subject: key.id,
      details: { account_id: key.account_id, name: key.name, prefix: key.prefix },
    })
    return revoked
  })
}
