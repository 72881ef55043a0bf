import { newId } from '@sluice/shared/ids'
import { type Database, one } from '../db/database.ts'
import { lockOwned, type SystemAccounts } from './accounts.ts'
import { post } from './post.ts'
import { type CreditKind, lockPurse, OWNER_OF, spendableOf } from './purse.ts'

export interface Funding {
  accountId: string
  currency: string
  amountMicros: bigint
  /** A second transfer with the same key is refused. */
  idempotencyKey: string
}

/** Of credit with an expiry date; without one it joins what never expires. */
export interface Expiring {
  expiresAt: Date
}

/** Adds money that the customer paid to their balance; refundable while unused. Returns the transfer's id. */
export function topUp(
  db: Database,
  funding: Funding & Partial<Expiring>,
  system: SystemAccounts,
): Promise<string> {
  return fund(db, { ...funding, transfer: 'top_up', kind: 'paid' }, system.funding)
}

/** Adds credit that nobody paid for, never refunded. Returns the transfer's id. */
export function grantTrial(
  db: Database,
  funding: Funding & Partial<Expiring>,
  system: SystemAccounts,
): Promise<string> {
  return fund(db, { ...funding, transfer: 'trial_grant', kind: 'promotional' }, system.promotion)
}

interface Fund extends Funding, Partial<Expiring> {
  transfer: 'top_up' | 'trial_grant'
  kind: CreditKind
}

async function fund(db: Database, funding: Fund, from: bigint): Promise<string> {
  const { accountId, currency, amountMicros, kind, expiresAt } = funding
  const accounts = await lockOwned(db, accountId, currency)
  const to =
    expiresAt === undefined ? accounts[OWNER_OF[kind]].id : await openDated(db, { ...funding, expiresAt })
  return post(db, {
    kind: funding.transfer,
    idempotencyKey: funding.idempotencyKey,
    videoId: null,
    postings: [
      { ledgerAccountId: from, amountMicros: -amountMicros },
      { ledgerAccountId: to, amountMicros },
    ],
  })
}

/** Opens credit with an expiry date. Returns its ledger account, which is empty. */
async function openDated(db: Database, credit: Fund & Expiring): Promise<bigint> {
  const { accountId, currency, amountMicros, kind, expiresAt } = credit
  const { id } = one(
    await db.query<{ id: bigint }>({
      text: `with c as (
        insert into credit (id, account_id, kind, granted_micros, expires_at)
        values ($1, $2, $3, $4, $5)
        returning id, account_id
      )
      insert into ledger_account (kind, account_id, currency, balance, credit_id)
      select $6, account_id, $7, 0, id from c
      returning id`,
      values: [newId('credit'), accountId, kind, amountMicros, expiresAt, OWNER_OF[kind], currency],
    }),
  )
  return id
}

export interface Refund {
  /** Null when there was nothing to refund. */
  transferId: string | null
  amountMicros: bigint
}

/**
 * Takes the whole unused paid balance off an account, to be paid back, also of credit that has not expired.
 * Promotional credit stays, and so does what is held: what is returned of it when its videos end can be
 * refunded then. Without a paid balance nothing is posted.
 */
export async function refundUnused(
  db: Database,
  refund: Omit<Funding, 'amountMicros'>,
  system: SystemAccounts,
): Promise<Refund> {
  const purse = await lockPurse(db, refund.accountId, refund.currency)
  const amountMicros = spendableOf(purse, 'paid')
  if (amountMicros === 0n) return { transferId: null, amountMicros }
  const sources = [...purse.dated.filter(({ kind }) => kind === 'paid'), purse.customer]
  const transferId = await post(db, {
    kind: 'refund',
    idempotencyKey: refund.idempotencyKey,
    videoId: null,
    postings: [
      ...sources.map(({ id, balanceMicros }) => ({ ledgerAccountId: id, amountMicros: -balanceMicros })),
      { ledgerAccountId: system.funding, amountMicros },
    ],
  })
  return { transferId, amountMicros }
}

/**
 * Takes back what a payment credited, because the provider paid it back or had to give it up: at most what is
 * unused of the paid balance, what never expires first. Returns how much that is; of nothing, nothing is
 * posted.
 */
export async function takeBack(db: Database, funding: Funding, system: SystemAccounts): Promise<bigint> {
  const { customer, dated } = await lockPurse(db, funding.accountId, funding.currency)
  let left = funding.amountMicros
  const taken = [customer, ...dated.filter(({ kind }) => kind === 'paid')].flatMap(
    ({ id, balanceMicros }) => {
      const amountMicros = balanceMicros < left ? balanceMicros : left
      left -= amountMicros
      return amountMicros === 0n ? [] : [{ ledgerAccountId: id, amountMicros: -amountMicros }]
    },
  )
  const amountMicros = funding.amountMicros - left
  if (amountMicros === 0n) return amountMicros
  await post(db, {
    kind: 'reversal',
    idempotencyKey: funding.idempotencyKey,
    videoId: null,
    postings: [...taken, { ledgerAccountId: system.funding, amountMicros }],
  })
  return amountMicros
}

/** Gives again what was taken back, since the provider has the money after all. */
export async function reinstate(db: Database, funding: Funding, system: SystemAccounts): Promise<void> {
  const accounts = await lockOwned(db, funding.accountId, funding.currency)
  await post(db, {
    kind: 'reinstatement',
    idempotencyKey: funding.idempotencyKey,
    videoId: null,
    postings: [
      { ledgerAccountId: system.funding, amountMicros: -funding.amountMicros },
      { ledgerAccountId: accounts.customer.id, amountMicros: funding.amountMicros },
    ],
  })
}
