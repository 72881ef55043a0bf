import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { issueKeyAtStart } from '../keys/create-key.ts'
import { grantTrial } from '../ledger/fund.ts'
import {
  type Account,
  type AccountSettings,
  insertAccount,
  readAccount,
  settingsDetails,
} from './account-store.ts'

/**
 * Opens an account with empty balances and without a key for the operator, and records it in the audit.
 * `adminKeyId` is the admin key that asks.
 */
export async function openAccount(
  context: Context,
  adminKeyId: string,
  settings: AccountSettings & { name: string },
): Promise<Account> {
  return transaction(context.db, async (db) => {
    const accountId = await insertAccount(db, settings, context.config.currency)
    await recordChange(db, {
      keyId: adminKeyId,
      action: 'account.created',
      subject: accountId,
      details: settingsDetails(settings),
    })
    return readAccount(db, accountId)
  })
}

export interface AccountWithKey {
  accountId: string
  /** The secret of the account's first key, shown once. */
  key: string
}

/** Opens an account with one key and, unless it is 0, trial credit, and records both for no admin key. */
export async function openAccountWithKey(
  context: Context,
  account: { name: string; trialMicros: bigint },
): Promise<AccountWithKey> {
  return transaction(context.db, (db) => openAccountWithKeyIn(db, context, account))
}

/** As `openAccountWithKey`, in the caller's transaction. */
export async function openAccountWithKeyIn(
  db: Database,
  { config: { currency }, systemAccounts }: Context,
  account: { name: string; trialMicros: bigint },
): Promise<AccountWithKey> {
  const accountId = await insertAccount(db, { name: account.name }, currency)
  if (account.trialMicros > 0n) {
    const funding = {
      accountId,
      currency,
      amountMicros: account.trialMicros,
      idempotencyKey: `trial:${accountId}`,
    }
    await grantTrial(db, funding, systemAccounts)
  }
  await recordChange(db, {
    keyId: null,
    action: 'account.created',
    subject: accountId,
    details: { name: account.name, trial_micros: String(account.trialMicros) },
  })
  const key = await issueKeyAtStart(db, {
    accountId,
    scopes: ['videos:read', 'videos:write'],
    kind: 'account',
  })
  return { accountId, key: key.secret }
}
