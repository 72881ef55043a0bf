import type { Database } from '../db/database.ts'
import type { SystemAccounts } from './accounts.ts'
import { postAll, type Transfer } from './post.ts'
import type { DatedCredit, Purse } from './purse.ts'

/**
 * Takes what is left of credit whose date has passed off the account that has `purse`: what nobody paid for
 * goes back to where it came from, what was paid becomes the installation's. One transfer for each credit;
 * a second one when a hold returned more to it later. The account's money is locked. Returns the purse after.
 */
export async function expireLapsed(db: Database, purse: Purse, system: SystemAccounts): Promise<Purse> {
  if (purse.lapsed.length === 0) return purse
  const before = await countExpiries(db, purse.lapsed)
  await postAll(
    db,
    purse.lapsed.map((credit): Transfer => {
      const { id, creditId, kind, balanceMicros } = credit
      return {
        kind: 'expiry',
        idempotencyKey: `expiry:${creditId}:${(before.get(id) ?? 0n) + 1n}`,
        videoId: null,
        postings: [
          { ledgerAccountId: id, amountMicros: -balanceMicros },
          {
            ledgerAccountId: kind === 'paid' ? system.expired : system.promotion,
            amountMicros: balanceMicros,
          },
        ],
      }
    }),
  )
  return { ...purse, lapsed: [] }
}

/** How many expiries each credit had. */
async function countExpiries(
  db: Database,
  credits: readonly DatedCredit[],
): Promise<ReadonlyMap<bigint, bigint>> {
  const { rows } = await db.query<{ id: bigint; count: bigint }>({
    text: `select e.ledger_account_id as id, count(*) as count
    from entry e
    join transfer t on t.id = e.transfer_id
    where e.ledger_account_id = any ($1::bigint[]) and t.kind = 'expiry'
    group by 1`,
    values: [credits.map(({ id }) => String(id))],
  })
  return new Map(rows.map(({ id, count }) => [id, count]))
}

/** Accounts that have credit whose date has passed and whose expiry is not posted, longest overdue first. */
export async function accountsWithLapsed(db: Database, limit: number): Promise<string[]> {
  const { rows } = await db.query<{ account_id: string }>({
    name: 'credits-due',
    text: `select distinct account_id
    from (
      select account_id from credit where is_open and expires_at <= now() order by expires_at limit $1
    ) due`,
    values: [limit],
  })
  return rows.map(({ account_id }) => account_id)
}
