import { type Database, together } from '../db/database.ts'
import { lockOwned, type OwnedAccount, type OwnedAccounts, readOwned } from './accounts.ts'

/** Whether the customer paid for credit. */
export const CREDIT_KINDS = ['paid', 'promotional'] as const
export type CreditKind = (typeof CREDIT_KINDS)[number]

/** The kind of ledger account that has credit of a kind, with or without an expiry date. */
export const OWNER_OF = { paid: 'customer', promotional: 'trial' } as const satisfies Record<
  CreditKind,
  keyof OwnedAccounts
>

/** Credit with an expiry date, of which something is left. */
export interface DatedCredit extends OwnedAccount {
  readonly creditId: string
  readonly kind: CreditKind
  readonly grantedMicros: bigint
  readonly expiresAt: Date
  readonly createdAt: Date
  /** How often what was left of it has expired. */
  readonly expiries: number
}

/** What an account has. */
export interface Purse extends OwnedAccounts {
  /** Credit that has not expired, in the order in which it is spent. */
  readonly dated: readonly DatedCredit[]
  /** Credit whose date has passed and whose expiry is not posted yet: nothing of it can be spent. */
  readonly lapsed: readonly DatedCredit[]
}

/**
 * Where money is taken from, in this order: credit that expires sooner first, promotional before paid of the
 * same date; what never expires comes last, promotional before paid.
 */
export function inSpendingOrder({ dated, trial, customer }: Purse): readonly OwnedAccount[] {
  return [...dated, trial, customer]
}

export function spendableMicros(purse: Purse): bigint {
  return inSpendingOrder(purse).reduce((sum, { balanceMicros }) => sum + balanceMicros, 0n)
}

/** The part of what can be spent that customers paid, or that they did not. */
export function spendableOf(purse: Purse, kind: CreditKind): bigint {
  const dated = purse.dated.filter((credit) => credit.kind === kind)
  return dated.reduce((sum, { balanceMicros }) => sum + balanceMicros, purse[OWNER_OF[kind]].balanceMicros)
}

/**
 * What balances come to, by which the crossings of a balance are told: lapsed credit counts until its expiry
 * is posted, so that each fall is somebody's, once.
 */
export function postedMicros(purse: Purse): bigint {
  return purse.lapsed.reduce((sum, { balanceMicros }) => sum + balanceMicros, spendableMicros(purse))
}

interface DatedRow {
  account_id: string
  id: bigint
  credit_id: string
  kind: CreditKind
  balance: bigint
  granted_micros: bigint
  expires_at: Date
  created_at: Date
  expiries: number
  is_over: boolean
}

/** SQL that says whether an account has such credit: most have none, and nothing more is asked of them. */
export function hasDatedSql(accountId: string): string {
  return `exists (select from credit where account_id = ${accountId} and is_open)`
}

/** Credit with an expiry date by account. */
export type DatedCredits = ReadonlyMap<string, Pick<Purse, 'dated' | 'lapsed'>>

const NO_DATED_CREDIT: Pick<Purse, 'dated' | 'lapsed'> = { dated: [], lapsed: [] }

/**
 * The credit with an expiry date of accounts. Once their money is locked, in a statement of its own: only
 * then it sees what the lock waited for. Of no accounts it asks nothing.
 */
export async function readDated(
  db: Database,
  accountIds: readonly string[],
  currency: string,
): Promise<DatedCredits> {
  if (accountIds.length === 0) return new Map()
  const { rows } = await db.query<DatedRow>({
    name: 'ledger-dated',
    text: `select c.account_id, l.id, c.id as credit_id, c.kind, l.balance, c.granted_micros, c.expires_at,
      c.created_at, c.expiries, c.expires_at <= now() as is_over
    from credit c
    join ledger_account l on l.credit_id = c.id
    where c.account_id = any ($1::text[]) and c.is_open and l.currency = $2
    order by c.expires_at, c.kind = 'paid', c.id`,
    values: [accountIds, currency],
  })
  const byAccount = Map.groupBy(rows, (row) => row.account_id)
  return new Map(
    [...byAccount].map(([accountId, ofAccount]) => [
      accountId,
      {
        dated: ofAccount.filter((row) => !row.is_over).map(datedCreditOf),
        lapsed: ofAccount.filter((row) => row.is_over).map(datedCreditOf),
      },
    ]),
  )
}

function datedCreditOf(row: DatedRow): DatedCredit {
  return {
    id: row.id,
    creditId: row.credit_id,
    kind: row.kind,
    balanceMicros: row.balance,
    grantedMicros: row.granted_micros,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    expiries: row.expiries,
  }
}

/** What the account with these ledger accounts has. */
export function purseOf(accountId: string, owned: OwnedAccounts, dated: DatedCredits): Purse {
  return { ...owned, ...(dated.get(accountId) ?? NO_DATED_CREDIT) }
}

/** Locks an account's money until the transaction ends, and returns it. */
export async function lockPurse(db: Database, accountId: string, currency: string): Promise<Purse> {
  const [owned, dated] = await together([
    lockOwned(db, accountId, currency),
    readDated(db, [accountId], currency),
  ])
  return purseOf(accountId, owned, dated)
}

/** An account's money, unlocked: it may change at once. */
export async function readPurse(db: Database, accountId: string, currency: string): Promise<Purse> {
  const [owned, dated] = await Promise.all([
    readOwned(db, accountId, currency),
    readDated(db, [accountId], currency),
  ])
  return purseOf(accountId, owned, dated)
}
