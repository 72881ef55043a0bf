import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import {
  type Account,
  type AccountSettings,
  readAccount,
  settingsDetails,
  updateAccount,
} from './account-store.ts'

/**
 * Changes what `settings` names for the operator and records it in the audit; naming nothing changes and
 * records nothing. `adminKeyId` is the admin key that asks. Throws SluiceError `not_found`.
 */
export async function changeAccount(
  context: Context,
  adminKeyId: string,
  accountId: string,
  settings: AccountSettings,
): Promise<Account> {
  const changed = await transaction(context.db, async (db) => {
    const { id } = await readAccount(db, accountId)
    if (Object.keys(settings).length > 0) {
      await updateAccount(db, id, settings)
      await recordChange(db, {
        keyId: adminKeyId,
        action: 'account.changed',
        subject: id,
        details: settingsDetails(settings),
      })
    }
    return readAccount(db, id)
  })
  // A weight and a limit count from the gate's next pass on.
  context.wakeGate()
  return changed
}
