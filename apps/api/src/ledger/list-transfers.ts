import type { Database } from '../db/database.ts'
import type { OwnedKind, SystemKind } from './accounts.ts'
import type { TransferKind } from './post.ts'

/** A transfer with all its entries; none when it moved nothing (a hold at price 0). */
export interface TransferRow {
  id: string
  kind: TransferKind
  video_id: string | null
  created_at: Date
  entries: {
    account_kind: OwnedKind | SystemKind
    /** The credit with an expiry date that the account has; else null. */
    credit_id: string | null
    amount_micros: string
  }[]
}

/** The columns of a TransferRow, for queries whose table `transfer` is called `t`. */
const TRANSFER_COLUMNS = `t.id, t.kind, t.video_id, t.created_at,
    (
      select coalesce(
        json_agg(
          json_build_object(
            'account_kind', a.kind, 'credit_id', a.credit_id, 'amount_micros', e.amount::text)
          order by e.id),
        '[]')
      from entry e
      join ledger_account a on a.id = e.ledger_account_id
      where e.transfer_id = t.id
    ) as entries`

/**
 * A page of the transfers that moved an account's money, newest first: one more than `limit`, if there are as
 * many. `after` is the id that ended the page before.
 */
export async function listTransfers(
  db: Database,
  account: { accountId: string; currency: string },
  page: { after: string | undefined; limit: number },
): Promise<TransferRow[]> {
  const { rows } = await db.query<TransferRow>({
    text: `with page as (
      select distinct e.transfer_id
      from ledger_account own
      cross join lateral (
        select transfer_id
        from entry
        where ledger_account_id = own.id and ($2::text is null or transfer_id < $2)
        order by transfer_id desc
        limit $3
      ) e
      where own.account_id = $1 and own.currency = $4
      order by e.transfer_id desc
      limit $3
    )
    select ${TRANSFER_COLUMNS}
    from page
    join transfer t on t.id = page.transfer_id
    order by t.id desc`,
    values: [account.accountId, page.after ?? null, page.limit + 1, account.currency],
  })
  return rows
}

/** The transfer of an idempotency key; null when there is none. */
export async function findTransfer(db: Database, idempotencyKey: string): Promise<TransferRow | null> {
  const { rows } = await db.query<TransferRow>({
    text: `select ${TRANSFER_COLUMNS} from transfer t where t.idempotency_key = $1`,
    values: [idempotencyKey],
  })
  return rows[0] ?? null
}

/** The transfers of a video, oldest first: its hold and, once it has ended, its settle. */
export async function listVideoTransfers(db: Database, videoId: string): Promise<TransferRow[]> {
  const { rows } = await db.query<TransferRow>({
    text: `select ${TRANSFER_COLUMNS} from transfer t where t.video_id = $1 order by t.created_at, t.id`,
    values: [videoId],
  })
  return rows
}
