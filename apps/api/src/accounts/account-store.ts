import { isId, newId } from '@sluice/shared/ids'
import { formatMicros } from '@sluice/shared/money'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { queueCountSql } from '../keys/queue-counts.ts'
import { openOwned } from '../ledger/accounts.ts'

/** A row of table account with what it has: money in micro-units, videos by where they stand. */
export interface Account {
  id: string
  name: string
  /** Share of the GPUs relative to other accounts; 100 is usual. */
  weight: number
  queued_max: number
  /** Queued and running together; null = no limit. */
  unfinished_max: number | null
  /** Running at once, over all its keys; null = no limit. */
  running_max: number | null
  /** Its videos may be promised a time. */
  promises: boolean
  last_submitted_at: Date | null
  created_at: Date
  /** Below it `balance.low` is sent; null = never. */
  balance_low_micros: bigint | null
  /** What can be spent: with credit that has not expired yet. */
  paid_micros: bigint
  trial_micros: bigint
  held_micros: bigint
  queued: bigint
  in_flight: bigint
  /** Of those in flight, the ones that occupy a slot or are on their way to one. */
  running: bigint
}

/** What the operator sets. A setting left out gets its default in a new account; a change leaves it alone. */
export type AccountSettings = {
  [Setting in
    | 'name'
    | 'weight'
    | 'queued_max'
    | 'unfinished_max'
    | 'running_max'
    | 'promises'
    | 'balance_low_micros']?: Account[Setting] | undefined
}

/** Settings as the audit keeps them. */
export function settingsDetails({ balance_low_micros: low, ...others }: AccountSettings): object {
  return low === undefined ? others : { ...others, balance_low: low === null ? null : formatMicros(low) }
}

const DEFAULTS = { weight: 100, queued_max: 1_000 } as const

const SELECT = `select a.id, a.name, a.weight, a.queued_max, a.unfinished_max, a.running_max, a.promises,
    a.balance_low_micros, a.last_submitted_at, a.created_at, m.*, c.queued, c.in_flight,
    (select count(*) from device_occupant o where o.account_id = a.id) as running
  from account a cross join lateral (
    select coalesce(sum(balance) filter (where kind = 'customer'), 0)::bigint as paid_micros,
      coalesce(sum(balance) filter (where kind = 'trial'), 0)::bigint as trial_micros,
      coalesce(sum(balance) filter (where kind = 'hold'), 0)::bigint as held_micros
    from (
      select kind, balance from ledger_account where account_id = a.id and credit_id is null
      union all
      select l.kind, l.balance
      from credit c
      join ledger_account l on l.credit_id = c.id
      where c.account_id = a.id and c.is_open and c.expires_at > now()) l) m
  cross join lateral ${queueCountSql('a.id')} c`

/** One account. Throws SluiceError `not_found` for an unknown or malformed id. */
export async function readAccount(db: Database, accountId: string): Promise<Account> {
  const { rows } = isId('acct', accountId)
    ? await db.query<Account>({ text: `${SELECT} where a.id = $1`, values: [accountId] })
    : { rows: [] }
  const account = rows[0]
  if (account === undefined) throw new SluiceError('not_found', 'No such account.', 'account_id')
  return account
}

/** A page of accounts, newest first. Returns one more than `limit` when another page follows. */
export async function listAccounts(
  db: Database,
  page: { after?: string | undefined; limit: number },
): Promise<Account[]> {
  const { rows } = await db.query<Account>({
    text: `${SELECT} where ($1::text is null or a.id < $1) order by a.id desc limit $2`,
    values: [page.after ?? null, page.limit + 1],
  })
  return rows
}

/** Stores an account with empty balances and without a key. Returns its id. */
export async function insertAccount(
  db: Database,
  settings: AccountSettings & { name: string },
  currency: string,
): Promise<string> {
  const accountId = newId('acct')
  await db.query({
    text: `insert into account (
      id, name, weight, queued_max, unfinished_max, running_max, promises, balance_low_micros)
    values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    values: [
      accountId,
      settings.name,
      settings.weight ?? DEFAULTS.weight,
      settings.queued_max ?? DEFAULTS.queued_max,
      settings.unfinished_max ?? null,
      settings.running_max ?? null,
      settings.promises ?? false,
      settings.balance_low_micros ?? null,
    ],
  })
  await openOwned(db, accountId, currency)
  return accountId
}

/** Changes what `settings` names and leaves the rest. The account must exist. */
export async function updateAccount(
  db: Database,
  accountId: string,
  settings: AccountSettings,
): Promise<void> {
  await db.query({
    text: `update account set
      name = coalesce($2, name),
      weight = coalesce($3, weight),
      queued_max = coalesce($4, queued_max),
      unfinished_max = case when $5 then $6 else unfinished_max end,
      running_max = case when $7 then $8 else running_max end,
      promises = coalesce($9, promises),
      balance_low_micros = case when $10 then $11 else balance_low_micros end
    where id = $1`,
    values: [
      accountId,
      settings.name ?? null,
      settings.weight ?? null,
      settings.queued_max ?? null,
      settings.unfinished_max !== undefined,
      settings.unfinished_max ?? null,
      settings.running_max !== undefined,
      settings.running_max ?? null,
      settings.promises ?? null,
      settings.balance_low_micros !== undefined,
      settings.balance_low_micros ?? null,
    ],
  })
}
