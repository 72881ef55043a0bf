import type { Database } from '../db/database.ts'
import type { CreditKind, DatedCredit } from './purse.ts'

/** Credit with an expiry date, whatever is left of it. */
export interface ListedCredit extends Omit<DatedCredit, 'id' | 'expiries'> {
  /** What was taken off when its date had passed. */
  expiredMicros: bigint
}

interface CreditRow {
  id: string
  kind: CreditKind
  balance: bigint
  granted_micros: bigint
  expired_micros: bigint
  expires_at: Date
  created_at: Date
}

/**
 * A page of an account's credit with an expiry date, newest first: one more than `limit`, if there are as
 * many. `after` is the id that ended the page before.
 */
export async function listCredits(
  db: Database,
  accountId: string,
  page: { after?: string | undefined; limit: number },
): Promise<ListedCredit[]> {
  const { rows } = await db.query<CreditRow>({
    text: `select c.id, c.kind, c.granted_micros, c.expires_at, c.created_at,
      case when c.expires_at > now() then l.balance else 0 end as balance,
      c.expired_micros
    from credit c
    join ledger_account l on l.credit_id = c.id
    where c.account_id = $1 and ($2::text is null or c.id < $2)
    order by c.id desc
    limit $3`,
    values: [accountId, page.after ?? null, page.limit + 1],
  })
  return rows.map((row) => ({
    creditId: row.id,
    kind: row.kind,
    balanceMicros: row.balance,
    grantedMicros: row.granted_micros,
    expiredMicros: row.expired_micros,
    expiresAt: row.expires_at,
    createdAt: row.created_at,
  }))
}
