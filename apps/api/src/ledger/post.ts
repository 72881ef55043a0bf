import { newId } from '@sluice/shared/ids'
import type { Database } from '../db/database.ts'

export type TransferKind =
  | 'hold'
  | 'settle'
  | 'rebate'
  | 'top_up'
  | 'trial_grant'
  | 'refund'
  | 'expiry'
  | 'reversal'
  | 'reinstatement'

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
 * Writes one transfer, its entries and the balances they change. Returns the transfer's id. Must run in a
 * transaction that has locked the owned accounts (see lockOwned). The schema refuses, at the latest at
 * commit, a sum other than zero, a negative balance, a second transfer of this kind for the video and a
 * repeated idempotency key.
 */
export async function post(db: Database, transfer: Transfer): Promise<string> {
  const id = newId('txfr')
  await write(db, [{ ...transfer, id }])
  return id
}

/** As `post`, for any number of transfers in one statement: all of them, or none. */
export async function postAll(db: Database, transfers: readonly Transfer[]): Promise<void> {
  await write(
    db,
    transfers.map((transfer) => ({ ...transfer, id: newId('txfr') })),
  )
}

/** No other code writes transfers, entries and balances. */
async function write(db: Database, transfers: readonly (Transfer & { id: string })[]): Promise<void> {
  const entries = transfers.flatMap(({ id, postings }) =>
    postings.filter(({ amountMicros }) => amountMicros !== 0n).map((posting) => ({ id, ...posting })),
  )
  await db.query({
    name: 'ledger-post',
    text: `with posting as (
      select *
      from unnest($5::text[], $6::bigint[], $7::bigint[]) as p(transfer_id, ledger_account_id, amount)
    ),
    t as (
      insert into transfer (id, idempotency_key, kind, video_id, knows_expiry)
      select *, true from unnest($1::text[], $2::text[], $3::text[], $4::text[])
    ),
    e as (
      insert into entry (transfer_id, ledger_account_id, amount)
      select transfer_id, ledger_account_id, amount from posting
    )
    update ledger_account a set balance = a.balance + p.amount
    from (select ledger_account_id, sum(amount)::bigint as amount from posting group by 1) p
    where a.id = p.ledger_account_id and a.balance is not null`,
    values: [
      transfers.map(({ id }) => id),
      transfers.map(({ idempotencyKey }) => idempotencyKey),
      transfers.map(({ kind }) => kind),
      transfers.map(({ videoId }) => videoId),
      entries.map(({ id }) => id),
      entries.map(({ ledgerAccountId }) => ledgerAccountId.toString()),
      entries.map(({ amountMicros }) => amountMicros.toString()),
    ],
  })
}
