import { type Database, one } from '../db/database.ts'

/** Kinds of accounts that belong to one tenant; their balance is a stored row. */
export const OWNED_KINDS = ['customer', 'trial', 'hold'] as const
/** Kinds of accounts of the whole installation; their balance is the sum of their entries. */
export const SYSTEM_KINDS = ['revenue', 'funding', 'promotion', 'expired'] as const
export type OwnedKind = (typeof OWNED_KINDS)[number]
export type SystemKind = (typeof SYSTEM_KINDS)[number]

export interface OwnedAccount {
  readonly id: bigint
  readonly balanceMicros: bigint
}
/** Those that every tenant has, whatever its credit; see purse.ts for credit with an expiry date. */
export type OwnedAccounts = Readonly<Record<OwnedKind, OwnedAccount>>
/** The ids of the installation's own accounts. */
export type SystemAccounts = Record<SystemKind, bigint>

interface OwnedRow {
  id: bigint
  kind: OwnedKind
  balance: bigint
}

/** Opens the accounts of a new tenant, all empty. */
export async function openOwned(db: Database, accountId: string, currency: string): Promise<void> {
  await db.query({
    text: `insert into ledger_account (kind, account_id, currency, balance)
    select kind, $1, $2, 0
    from unnest($3::text[]) kind
    on conflict do nothing`,
    values: [accountId, currency, [...OWNED_KINDS]],
  })
}

/**
 * Locks a tenant's accounts until the transaction ends; in id order, so that transfers never deadlock. They
 * stand for all its money: whoever moves credit with an expiry date has locked them too.
 */
export async function lockOwned(db: Database, accountId: string, currency: string): Promise<OwnedAccounts> {
  const { rows } = await db.query<OwnedRow>({
    name: 'ledger-lock',
    text: `select id, kind, balance
    from ledger_account
    where account_id = $1 and currency = $2 and credit_id is null
    order by id
    for update`,
    values: [accountId, currency],
  })
  return byKind(rows, accountId)
}

/**
 * As `lockOwned`, for several tenants at once and without waiting, and with it each one's row of `account`,
 * which a submission writes too: a tenant of which another transaction has locked any of this is not in what
 * it returns.
 */
export async function lockOwnedThatAreFree(
  db: Database,
  accountIds: readonly string[],
  currency: string,
): Promise<Map<string, OwnedAccounts>> {
  const { rows } = await db.query<OwnedRow & { account_id: string }>({
    name: 'ledger-lock-free',
    // The row of `account` after the money, as all take them, and only of whom the money could be had.
    text: `with money as (
      select id, kind, balance, account_id
      from ledger_account
      where account_id = any ($1::text[]) and currency = $2 and credit_id is null
      order by id
      for update skip locked),
    free as (
      select id
      from account
      where id = any (array(select account_id from money))
      order by id
      for no key update skip locked)
    select money.*
    from money
    join free on free.id = money.account_id`,
    values: [accountIds, currency],
  })
  const whole = [...Map.groupBy(rows, (row) => row.account_id)].filter(
    ([, ofAccount]) => ofAccount.length === OWNED_KINDS.length,
  )
  return new Map(whole.map(([accountId, ofAccount]) => [accountId, byKind(ofAccount, accountId)]))
}

/** A tenant's accounts, unlocked: the balances may change at once. */
export async function readOwned(db: Database, accountId: string, currency: string): Promise<OwnedAccounts> {
  const { rows } = await db.query<OwnedRow>({
    text: `select id, kind, balance
    from ledger_account
    where account_id = $1 and currency = $2 and credit_id is null`,
    values: [accountId, currency],
  })
  return byKind(rows, accountId)
}

/** The installation's own accounts; those that are missing are opened. */
export async function openSystem(db: Database, currency: string): Promise<SystemAccounts> {
  await db.query({
    text: `insert into ledger_account (kind, currency)
    select kind, $1
    from unnest($2::text[]) kind
    on conflict do nothing`,
    values: [currency, [...SYSTEM_KINDS]],
  })
  const { rows } = await db.query<{ kind: SystemKind; id: bigint }>({
    text: 'select kind, id from ledger_account where account_id is null and currency = $1',
    values: [currency],
  })
  const idOf = (kind: SystemKind) => one({ rows: rows.filter((row) => row.kind === kind) }).id
  return {
    revenue: idOf('revenue'),
    funding: idOf('funding'),
    promotion: idOf('promotion'),
    expired: idOf('expired'),
  }
}

function byKind(rows: readonly OwnedRow[], accountId: string): OwnedAccounts {
  const account = (kind: OwnedKind): OwnedAccount => {
    const row = rows.find((candidate) => candidate.kind === kind)
    if (row === undefined) throw new Error(`account ${accountId} has no ledger account of kind ${kind}`)
    return { id: row.id, balanceMicros: row.balance }
  }
  return { customer: account('customer'), trial: account('trial'), hold: account('hold') }
}
