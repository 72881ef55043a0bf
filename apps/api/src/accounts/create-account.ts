import { newId } from '@sluice/shared/ids'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { createKey } from '../keys/api-key.ts'
import { openOwned } from '../ledger/accounts.ts'
import { grantTrial } from '../ledger/fund.ts'

export interface NewAccount {
  accountId: string
  /** The account's first key, shown once. */
  key: string
}

/** What an account may be told at its start or later; what is left out is the usual, or stays as it is. */
export interface AccountSettings {
  name?: string | undefined
  /** Share of the GPUs relative to other accounts; 100 is usual. */
  weight?: number | undefined
  queuedMax?: number | undefined
  /** Queued and running together; null = no limit. */
  unfinishedMax?: number | null | undefined
  /** Running at once, over all its keys; null = no limit. */
  runningMax?: number | null | undefined
}

const DEFAULTS = { weight: 100, queuedMax: 1_000 } as const

/** Opens an account with empty balances and without a key, in the caller's transaction. Answers its id. */
export async function openAccount(
  db: Database,
  settings: AccountSettings & { name: string },
  currency: string,
): Promise<string> {
  const accountId = newId('acct')
  await db.query({
    text: 'insert into account (id, name, weight, queued_max, unfinished_max, running_max) values ($1, $2, $3, $4, $5, $6)',
    values: [
      accountId,
      settings.name,
      settings.weight ?? DEFAULTS.weight,
      settings.queuedMax ?? DEFAULTS.queuedMax,
      settings.unfinishedMax ?? null,
      settings.runningMax ?? null,
    ],
  })
  await openOwned(db, accountId, currency)
  return accountId
}

/** Makes an account with one key and, if any, trial credit. */
export async function createAccount(
  context: Context,
  account: { name: string; trialMicros: bigint },
): Promise<NewAccount> {
  const { currency } = context.config
  return transaction(context.db, async (db) => {
    const accountId = await openAccount(db, { name: account.name }, currency)
    if (account.trialMicros > 0n) {
      const funding = {
        accountId,
        currency,
        amountMicros: account.trialMicros,
        idempotencyKey: `trial:${accountId}`,
      }
      await grantTrial(db, funding, context.systemAccounts)
    }
    const key = await createKey(db, { accountId, scopes: ['videos:read', 'videos:write'], kind: 'account' })
    return { accountId, key: key.secret }
  })
}
