import { isId, newId } from '@sluice/shared/ids'
import { type Database, one } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { PaymentSaid, Provider, ReversalSaid } from './payment-event.ts'

export const PAYMENT_STATUSES = ['pending', 'credited', 'unassigned', 'dismissed', 'failed'] as const
export type PaymentStatus = (typeof PAYMENT_STATUSES)[number]

/** Why nobody was credited. */
const UNASSIGNED_PROBLEMS = ['no_account', 'unknown_account', 'other_currency', 'subscription'] as const
export type UnassignedProblem = (typeof UNASSIGNED_PROBLEMS)[number]

/** The last one is of a payment that was credited: a refund or dispute that nothing is taken back for. */
export const PAYMENT_PROBLEMS = [...UNASSIGNED_PROBLEMS, 'reversed_in_other_currency'] as const
type PaymentProblem = (typeof PAYMENT_PROBLEMS)[number]

/** A row of table payment. Amounts of what was paid are of its currency, the others of the ledger's. */
export interface Payment {
  id: string
  provider: Provider
  session: string
  intent: string | null
  account_id: string | null
  reference: string | null
  status: PaymentStatus
  problem: PaymentProblem | null
  currency: string
  paid_micros: bigint
  net_micros: bigint
  credited_micros: bigint
  reversed_micros: bigint
  refunded_micros: bigint
  owed_micros: bigint
  waived_micros: bigint
  moves: number
  is_live: boolean
  created_at: Date
  credited_at: Date | null
}

declare const locked: unique symbol

/**
 * A payment as it stands under its row's lock, until the transaction ends. What it is named by is locked
 * before it and the account's money after it, several in the order of their ids: nobody deadlocks.
 */
export type LockedPayment = Payment & { readonly [locked]: true }

/**
 * Locks what refunds and disputes name a payment by, until the transaction ends: a payment and a refund of it
 * that arrive at the same time take turns.
 */
export async function lockIntent(db: Database, provider: Provider, intent: string): Promise<void> {
  await db.query({
    text: 'insert into payment_intent (provider, intent) values ($1, $2) on conflict do nothing',
    values: [provider, intent],
  })
  await db.query({
    text: 'select from payment_intent where provider = $1 and intent = $2 for no key update',
    values: [provider, intent],
  })
}

/** Stores a payment unless its checkout is known, and locks its row. */
export async function lockSaid(db: Database, said: PaymentSaid): Promise<LockedPayment> {
  await db.query({
    text: `insert into payment (
      id, provider, session, intent, reference, account_id, status, currency, paid_micros, net_micros,
      is_live)
    values ($1, $2, $3, $4, $5, (select id from account where id = $5), 'pending', $6, $7, $8, $9)
    on conflict (provider, session) do nothing`,
    values: [
      newId('pay'),
      said.provider,
      said.session,
      said.intent,
      said.reference,
      said.currency,
      said.paidMicros,
      said.netMicros,
      said.isLive,
    ],
  })
  return one(
    await db.query<LockedPayment>({
      text: 'select * from payment where provider = $1 and session = $2 for update',
      values: [said.provider, said.session],
    }),
  )
}

/** The payment that a refund or dispute names, its row locked; null while it is not known. */
export async function lockOfIntent(
  db: Database,
  { provider, intent }: ReversalSaid,
): Promise<LockedPayment | null> {
  const { rows } = await db.query<LockedPayment>({
    text: 'select * from payment where provider = $1 and intent = $2 for update',
    values: [provider, intent],
  })
  return rows[0] ?? null
}

/** Locks the row of a payment. Throws SluiceError `not_found` for an unknown or malformed id. */
export async function lockPayment(db: Database, paymentId: string): Promise<LockedPayment> {
  const { rows } = isId('pay', paymentId)
    ? await db.query<LockedPayment>({
        text: 'select * from payment where id = $1 for update',
        values: [paymentId],
      })
    : { rows: [] }
  const payment = rows[0]
  if (payment === undefined) throw new SluiceError('not_found', 'No such payment.', 'id')
  return payment
}

/** Locks the payments of an account of which something is still to be taken back. */
export async function lockOwing(db: Database, accountId: string): Promise<LockedPayment[]> {
  const { rows } = await db.query<LockedPayment>({
    text: 'select * from payment where account_id = $1 and owed_micros > 0 order by id for update',
    values: [accountId],
  })
  return rows
}

/** Locks all payments that were credited to an account. */
export async function lockCredited(db: Database, accountId: string): Promise<LockedPayment[]> {
  const { rows } = await db.query<LockedPayment>({
    text: `select * from payment where account_id = $1 and status = 'credited' order by id for update`,
    values: [accountId],
  })
  return rows
}

/** Accounts that owe something and have paid money: at most `limit`, by id, those behind `after`. */
export async function findOwing(
  db: Database,
  { after, limit }: { after: string; limit: number },
): Promise<string[]> {
  const { rows } = await db.query<{ account_id: string }>({
    text: `select distinct p.account_id
    from payment p
    join ledger_account a on a.account_id = p.account_id and a.kind = 'customer' and a.balance > 0
    where p.owed_micros > 0 and p.account_id > $1
    order by p.account_id
    limit $2`,
    values: [after, limit],
  })
  return rows.map(({ account_id }) => account_id)
}

/** What may change of a payment. */
type PaymentChange = Partial<
  Pick<
    Payment,
    | 'account_id'
    | 'status'
    | 'problem'
    | 'intent'
    | 'credited_micros'
    | 'reversed_micros'
    | 'refunded_micros'
    | 'owed_micros'
    | 'waived_micros'
    | 'moves'
    | 'credited_at'
  >
>

/** Writes what `change` names, and returns the payment as it is then. */
export async function updatePayment(
  db: Database,
  payment: LockedPayment,
  change: PaymentChange,
): Promise<LockedPayment> {
  const changed: LockedPayment = { ...payment, ...change }
  await db.query({
    text: `update payment set account_id = $2, status = $3, problem = $4, intent = $5, credited_micros = $6,
      reversed_micros = $7, refunded_micros = $8, owed_micros = $9, waived_micros = $10, moves = $11,
      credited_at = $12
    where id = $1`,
    values: [
      payment.id,
      changed.account_id,
      changed.status,
      changed.problem,
      changed.intent,
      changed.credited_micros,
      changed.reversed_micros,
      changed.refunded_micros,
      changed.owed_micros,
      changed.waived_micros,
      changed.moves,
      changed.credited_at,
    ],
  })
  return changed
}

/**
 * Notes a refund or dispute. What the provider said last counts, in whatever order it arrives; of what it
 * said at the same second, that nothing stands.
 */
export async function noteReversal(db: Database, said: ReversalSaid): Promise<void> {
  await db.query({
    text: `insert into payment_reversal as r (
      provider, reversal, intent, cause, currency, amount_micros, stands, said_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (provider, reversal) do update set
      amount_micros = excluded.amount_micros, stands = excluded.stands, said_at = excluded.said_at
    where (excluded.said_at, not excluded.stands) >= (r.said_at, not r.stands)`,
    values: [
      said.provider,
      said.reversal,
      said.intent,
      said.cause,
      said.currency,
      said.amountMicros,
      said.stands,
      said.saidAt,
    ],
  })
}

/** What refunds and disputes of a payment come to. */
interface ReversedOfPaid {
  /** In its currency. */
  reversedMicros: bigint
  /** Nothing says how much those in another are of what was paid. */
  hasOtherCurrency: boolean
}

/** Reads the refunds and disputes of a payment that stand. */
export async function readReversedOfPaid(db: Database, payment: Payment): Promise<ReversedOfPaid> {
  const { reversed, has_other } = one(
    await db.query<{ reversed: string; has_other: boolean }>({
      text: `select coalesce(sum(amount_micros) filter (where currency = $3), 0)::text as reversed,
        coalesce(bool_or(currency <> $3), false) as has_other
      from payment_reversal
      where provider = $1 and intent = $2 and stands`,
      values: [payment.provider, payment.intent, payment.currency],
    }),
  )
  return { reversedMicros: BigInt(reversed), hasOtherCurrency: has_other }
}

/** Notes on which payment a part of an operator's refund is to be paid back. */
export async function notePaidBack(
  db: Database,
  transferId: string,
  part: { paymentId: string; amountMicros: bigint },
): Promise<void> {
  await db.query({
    text: 'insert into payment_refund (transfer_id, payment_id, amount_micros) values ($1, $2, $3)',
    values: [transferId, part.paymentId, part.amountMicros],
  })
}

/** A part of an operator's refund, and the payment that it is to be paid back on. */
export interface PaidBack extends Payment {
  /** Of the ledger's currency. */
  part_micros: bigint
}

/** On which payments a refund is to be paid back; none of what was not paid through a provider. */
export async function listPaidBack(db: Database, transferId: string): Promise<PaidBack[]> {
  const { rows } = await db.query<PaidBack>({
    text: `select p.*, r.amount_micros as part_micros
    from payment_refund r
    join payment p on p.id = r.payment_id
    where r.transfer_id = $1
    order by p.id desc`,
    values: [transferId],
  })
  return rows
}

/** A page of payments, newest first: one more than `limit`, if there are as many. */
export async function listPayments(
  db: Database,
  filter: { accountId?: string | undefined; status?: PaymentStatus | undefined },
  page: { after?: string | undefined; limit: number },
): Promise<Payment[]> {
  const { rows } = await db.query<Payment>({
    text: `select * from payment
    where ($1::text is null or account_id = $1) and ($2::text is null or status = $2)
      and ($3::text is null or id < $3)
    order by id desc limit $4`,
    values: [filter.accountId ?? null, filter.status ?? null, page.after ?? null, page.limit + 1],
  })
  return rows
}

/** For the metrics: payments that wait for something, and what is to be taken back once it is there. */
export interface PaymentsNow {
  pending: number
  unassigned: number
  owedMicros: bigint
}

export async function readPaymentsNow(db: Database): Promise<PaymentsNow> {
  const row = one(
    await db.query<{ pending: bigint; unassigned: bigint; owed: string }>({
      name: 'metrics-payments',
      text: `select
        (select count(*) from payment where status = 'pending') as pending,
        (select count(*) from payment where status = 'unassigned') as unassigned,
        (select coalesce(sum(owed_micros), 0) from payment where owed_micros > 0)::text as owed`,
    }),
  )
  return { pending: Number(row.pending), unassigned: Number(row.unassigned), owedMicros: BigInt(row.owed) }
}
