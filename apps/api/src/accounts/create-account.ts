import { newId } from '@sluice/shared/ids'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { createKey } from '../keys/api-key.ts'
import { openOwned } from '../ledger/accounts.ts'
import { grantTrial } from '../ledger/fund.ts'

export interface NewAccount {
  accountId: string
  /** The account's first key, shown once. */
  key: string
}

/** Makes an account with one key and, if any, trial credit. */
export async function createAccount(context: Context, account: { name: string; trialMicros: bigint }): Promise<NewAccount> {
  const accountId = newId('acct')
  const { currency } = context.config
  return transaction(context.db, async (db) => {
    await db.query({ text: 'insert into account (id, name) values ($1, $2)', values: [accountId, account.name] })
    await openOwned(db, accountId, currency)
    if (account.trialMicros > 0n) {
      const funding = { accountId, currency, amountMicros: account.trialMicros, idempotencyKey: `trial:${accountId}` }
      await grantTrial(db, funding, context.systemAccounts)
    }
    const key = await createKey(db, { accountId, scopes: ['videos:read', 'videos:write'], kind: 'account' })
    return { accountId, key: key.secret }
  })
}
