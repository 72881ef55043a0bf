import { newId } from '@sluice/shared/ids'
import { type Database, one } from '../db/database.ts'

export type TransferKind = 'hold' | 'settle' | 'top_up' | 'trial_grant' | 'refund'

interface Posting {
  ledgerAccountId: bigint
  /** Signed micro-units; a posting of 0 is left out. */
  amountMicros: bigint
}

export interface Transfer {
  kind: TransferKind
  /** Posting the same key twice is refused by a unique index. */
  idempotencyKey: string
  videoId: string | null
  postings: readonly Posting[]
}

/**
 * Writes one transfer, its entries and the balances they change. No other code does. Returns the transfer's
 * id. Must run in a transaction that has locked the owned accounts (see lockOwned). The schema refuses, at
 * the latest at commit, a sum other than zero, a negative balance, a second transfer of this kind for the
 * video and a repeated idempotency key.
 */
export async function post(db: Database, transfer: Transfer): Promise<string> {
  const postings = transfer.postings.filter((posting) => posting.amountMicros !== 0n)
  const result = await db.query<{ id: string }>({
    name: 'ledger-post',
    text: `with posting as (
      select * from unnest($5::bigint[], $6::bigint[]) as p(ledger_account_id, amount)
    ),
    t as (
      insert into transfer (id, idempotency_key, kind, video_id) values ($1, $2, $3, $4) returning id
    ),
    e as (
      insert into entry (transfer_id, ledger_account_id, amount)
      select t.id, p.ledger_account_id, p.amount from t, posting p
    ),
    b as (
      update ledger_account a set balance = a.balance + p.amount
      from posting p
      where a.id = p.ledger_account_id and a.balance is not null
    )
    select id from t`,
    values: [
      newId('txfr'),
      transfer.idempotencyKey,
      transfer.kind,
      transfer.videoId,
      postings.map((posting) => posting.ledgerAccountId.toString()),
      postings.map((posting) => posting.amountMicros.toString()),
    ],
  })
  return one(result).id
}
