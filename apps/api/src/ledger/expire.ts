import type { Database } from '../db/database.ts'
import type { SystemAccounts } from './accounts.ts'
import { postAll, type Transfer } from './post.ts'
import type { Purse } from './purse.ts'

/**
 * Takes what is left of credit whose date has passed off the account that has `purse`: what nobody paid for
 * goes back to where it came from, what was paid becomes the installation's. One transfer for each credit;
 * a second one when a hold returned more to it later. The account's money is locked, so what counts them is
 * true until the commit counts this one. Returns the purse after.
 */
export async function expireLapsed(db: Database, purse: Purse, system: SystemAccounts): Promise<Purse> {
  if (purse.lapsed.length === 0) return purse
  await postAll(
    db,
    purse.lapsed.map((credit): Transfer => {
      const { id, creditId, kind, balanceMicros, expiries } = credit
      return {
        kind: 'expiry',
        idempotencyKey: `expiry:${creditId}:${expiries + 1}`,
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
