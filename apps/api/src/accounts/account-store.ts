import { isId } from '@sluice/shared/ids'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { AccountSettings } from './create-account.ts'

/** A row of table account with what it has: money in micro-units, videos by where they stand. */
export interface Account {
  id: string
  name: string
  weight: number
  queued_max: number
  unfinished_max: number | null
  running_max: number | null
  last_submitted_at: Date | null
  created_at: Date
  paid_micros: bigint
  trial_micros: bigint
  held_micros: bigint
  queued: bigint
  in_flight: bigint
  /** Of those in flight, the ones whose device is not given back. */
  running: bigint
}

const SELECT = `select a.id, a.name, a.weight, a.queued_max, a.unfinished_max, a.running_max, a.last_submitted_at, a.created_at, m.*,
    (select count(*) from video v where v.account_id = a.id and v.status = 'queued') as queued,
    (select count(*) from video v where v.account_id = a.id and v.status in ('dispatched', 'running')) as in_flight,
    (select count(*) from device_occupant o where o.account_id = a.id) as running
  from account a cross join lateral (
    select coalesce(max(balance) filter (where kind = 'customer'), 0) as paid_micros,
      coalesce(max(balance) filter (where kind = 'trial'), 0) as trial_micros,
      coalesce(max(balance) filter (where kind = 'hold'), 0) as held_micros
    from ledger_account l where l.account_id = a.id) m`

/** One account. Throws SluiceError `not_found` for an unknown or malformed id. */
export async function readAccount(db: Database, accountId: string): Promise<Account> {
  const { rows } = isId('acct', accountId)
    ? await db.query<Account>({ text: `${SELECT} where a.id = $1`, values: [accountId] })
    : { rows: [] }
  const account = rows[0]
  if (account === undefined) throw new SluiceError('not_found', 'No such account.', 'account_id')
  return account
}

/** A page of accounts, newest first. Answers one more than `limit` if there is one. */
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

/** Changes what is named in `settings` and leaves the rest. The account must exist. */
export async function changeAccount(
  db: Database,
  accountId: string,
  settings: AccountSettings,
): Promise<void> {
  await db.query({
    text: `update account set name = coalesce($2, name), weight = coalesce($3, weight), queued_max = coalesce($4, queued_max),
      unfinished_max = case when $5 then $6 else unfinished_max end, running_max = case when $7 then $8 else running_max end where id = $1`,
    values: [
      accountId,
      settings.name ?? null,
      settings.weight ?? null,
      settings.queuedMax ?? null,
      settings.unfinishedMax !== undefined,
      settings.unfinishedMax ?? null,
      settings.runningMax !== undefined,
      settings.runningMax ?? null,
    ],
  })
}
