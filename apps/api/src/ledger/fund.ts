import type { Database } from '../db/database.ts'
import { lockOwned, type SystemAccounts } from './accounts.ts'
import { post } from './post.ts'

export interface Funding {
  accountId: string
  currency: string
  amountMicros: bigint
  /** The same key never funds twice. */
  idempotencyKey: string
}

/** Puts money the customer paid onto their balance. Refundable while unused. */
export async function topUp(db: Database, funding: Funding, system: SystemAccounts): Promise<void> {
  const accounts = await lockOwned(db, funding.accountId, funding.currency)
  await post(db, {
    kind: 'top_up',
    idempotencyKey: funding.idempotencyKey,
    videoId: null,
    postings: [
      { ledgerAccountId: system.funding, amountMicros: -funding.amountMicros },
      { ledgerAccountId: accounts.customer.id, amountMicros: funding.amountMicros },
    ],
  })
}

/** Gives credit nobody paid for: spent before the customer's own money, never refunded. */
export async function grantTrial(db: Database, funding: Funding, system: SystemAccounts): Promise<void> {
  const accounts = await lockOwned(db, funding.accountId, funding.currency)
  await post(db, {
    kind: 'trial_grant',
    idempotencyKey: funding.idempotencyKey,
    videoId: null,
    postings: [
      { ledgerAccountId: system.promotion, amountMicros: -funding.amountMicros },
      { ledgerAccountId: accounts.trial.id, amountMicros: funding.amountMicros },
    ],
  })
}
