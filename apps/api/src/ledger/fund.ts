import type { Database } from '../db/database.ts'
import { lockOwned, type SystemAccounts } from './accounts.ts'
import { post } from './post.ts'

export interface Funding {
  accountId: string
  currency: string
  amountMicros: bigint
  /** A second transfer with the same key is refused. */
  idempotencyKey: string
}

/** Adds money that the customer paid to their balance; refundable while unused. Returns the transfer's id. */
export async function topUp(db: Database, funding: Funding, system: SystemAccounts): Promise<string> {
  const accounts = await lockOwned(db, funding.accountId, funding.currency)
  return post(db, {
    kind: 'top_up',
    idempotencyKey: funding.idempotencyKey,
    videoId: null,
    postings: [
      { ledgerAccountId: system.funding, amountMicros: -funding.amountMicros },
      { ledgerAccountId: accounts.customer.id, amountMicros: funding.amountMicros },
    ],
  })
}

/** Adds credit that nobody paid for: spent before paid money, never refunded. Returns the transfer's id. */
export async function grantTrial(db: Database, funding: Funding, system: SystemAccounts): Promise<string> {
  const accounts = await lockOwned(db, funding.accountId, funding.currency)
  return post(db, {
    kind: 'trial_grant',
    idempotencyKey: funding.idempotencyKey,
    videoId: null,
    postings: [
      { ledgerAccountId: system.promotion, amountMicros: -funding.amountMicros },
      { ledgerAccountId: accounts.trial.id, amountMicros: funding.amountMicros },
    ],
  })
}

export interface Refund {
  /** Null when there was nothing to refund. */
  transferId: string | null
  amountMicros: bigint
}

/**
 * Takes the whole unused paid balance off an account, to be paid back. Trial credit stays, and so does what
 * is held: what is returned of it when its videos end can be refunded then. Without a paid balance nothing is
 * posted.
 */
export async function refundUnused(
  db: Database,
  refund: Omit<Funding, 'amountMicros'>,
  system: SystemAccounts,
): Promise<Refund> {
  const accounts = await lockOwned(db, refund.accountId, refund.currency)
  const amountMicros = accounts.customer.balanceMicros
  if (amountMicros === 0n) return { transferId: null, amountMicros }
  const transferId = await post(db, {
    kind: 'refund',
    idempotencyKey: refund.idempotencyKey,
    videoId: null,
    postings: [
      { ledgerAccountId: accounts.customer.id, amountMicros: -amountMicros },
      { ledgerAccountId: system.funding, amountMicros },
    ],
  })
  return { transferId, amountMicros }
}
