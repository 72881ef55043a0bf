import { pause } from '@sluice/shared/pause'
import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'

/** How far the ledger has been proven. */
export interface Proof {
  /** The last entry that its sums have. */
  entryId: bigint
  /** By the database's clock; null while nothing is proven. */
  provenAt: Date | null
}

export const NOTHING_PROVEN: Proof = { entryId: 0n, provenAt: null }

/** What entries of one ledger account come to, in micro-units: all, top-ups less refunds, trial credit. */
interface EntrySum {
  amount: bigint
  paid: bigint
  granted: bigint
}

/** Sums by ledger account. */
export type EntrySums = Map<bigint, EntrySum>

/** What was proven last; nothing when the check before found something broken. */
export async function readProof(db: Database): Promise<Proof> {
  const proof = one(
    await db.query<Proof>({
      text: 'select entry_id as "entryId", proven_at as "provenAt" from ledger_proof',
    }),
  )
  return proof.provenAt === null ? NOTHING_PROVEN : proof
}

const SETTLED_WITHIN_MS = 3_000
const LOOK_EVERY_MS = 20

/**
 * The newest entry, and whether it `isSettled`: none at or before it can still be added. Numbers are given in
 * order, but the transaction that got an older one may commit later. Whoever adds entries has locked the
 * account's money before, and so has a transaction id by the time it gets a number: once the oldest
 * transaction under way is younger than any there was when the number was read, all up to it are there for
 * good. It is waited for as long as our transactions take; some other may take longer.
 */
export async function lastSettledEntry(
  db: Database,
): Promise<{ entryId: bigint; readAt: Date; isSettled: boolean }> {
  const newest = one(
    await db.query<{ entryId: bigint; readAt: Date }>({
      text: `select case when is_called then last_value else 0 end as "entryId", now() as "readAt"
      from entry_id_seq`,
    }),
  )
  // After the number was read, in a snapshot of its own.
  const { next } = one(
    await db.query<{ next: string }>({
      text: 'select pg_snapshot_xmax(pg_current_snapshot())::text as next',
    }),
  )
  const deadlineMs = performance.now() + SETTLED_WITHIN_MS
  while (!(await areOver(db, next))) {
    if (performance.now() > deadlineMs) return { ...newest, isSettled: false }
    await pause(LOOK_EVERY_MS)
  }
  return { ...newest, isSettled: true }
}

/** Whether every transaction with an id below `next` is over. */
async function areOver(db: Database, next: string): Promise<boolean> {
  const { over } = one(
    await db.query<{ over: boolean }>({
      text: 'select pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8 as over',
      values: [next],
    }),
  )
  return over
}

/**
 * Stores how far a check came that began at `before`, with the sums of the entries since then. With
 * `provenAt` null something was broken, and the next check begins at the beginning. Does nothing when another
 * check was faster.
 */
export async function storeProof(
  pool: DatabasePool,
  before: Proof,
  { entryId, provenAt }: Proof,
  sums: EntrySums,
): Promise<void> {
  await transaction(pool, async (db) => {
    const stored = one(
      await db.query<Proof>({
        text: 'select entry_id as "entryId", proven_at as "provenAt" from ledger_proof for update',
      }),
    )
    if (before === NOTHING_PROVEN) await db.query({ text: 'delete from proven_sum' })
    // Null: a check from the beginning has found something broken since, and that must stand.
    else if (stored.entryId !== before.entryId || stored.provenAt === null) return
    await addSums(db, sums)
    await db.query({
      text: 'update ledger_proof set entry_id = $1, proven_at = $2',
      values: [entryId, provenAt],
    })
  })
}

async function addSums(db: Database, sums: EntrySums): Promise<void> {
  const column = (field: keyof EntrySum) => [...sums.values()].map((sum) => sum[field].toString())
  await db.query({
    text: `insert into proven_sum as p (ledger_account_id, amount, paid, granted)
    select * from unnest($1::bigint[], $2::numeric[], $3::numeric[], $4::numeric[])
    on conflict (ledger_account_id) do update set
      amount = p.amount + excluded.amount,
      paid = p.paid + excluded.paid,
      granted = p.granted + excluded.granted`,
    values: [[...sums.keys()].map(String), column('amount'), column('paid'), column('granted')],
  })
}
