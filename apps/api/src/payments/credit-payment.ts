import { formatMicros } from '@sluice/shared/money'
import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { topUp } from '../ledger/fund.ts'
import { type LockedPayment, lockOwing, lockPayment, type Payment, updatePayment } from './payment-store.ts'
import { settleReversals } from './take-back.ts'

/**
 * Credits a payment to an account as paid money: once, by the lock on its row and by the ledger's idempotency
 * key. What came back of it meanwhile is taken back at once, and so is what the account owes of earlier ones.
 */
export async function creditPayment(
  db: Database,
  context: Context,
  payment: LockedPayment,
  { accountId, amountMicros }: { accountId: string; amountMicros: bigint },
): Promise<LockedPayment> {
  const owing = await lockOwing(db, accountId)
  const funding = {
    accountId,
    currency: context.config.currency,
    amountMicros,
    idempotencyKey: `payment:${payment.id}:credit`,
  }
  await topUp(db, funding, context.systemAccounts)
  const credited = await updatePayment(db, payment, {
    status: 'credited',
    problem: null,
    account_id: accountId,
    credited_micros: amountMicros,
    credited_at: new Date(context.clock.now()),
  })
  const settled = await settleReversals(db, context, credited)
  for (const earlier of owing) await settleReversals(db, context, earlier)
  return settled
}

/** What the operator decides about a payment that nobody was credited for. */
interface Assignment {
  adminKeyId: string
  paymentId: string
  accountId: string
  /** Of the ledger's currency; null = what was paid, which must be in it. */
  amountMicros: bigint | null
}

/**
 * Credits a payment that is `unassigned` or `dismissed` to the account that the operator names, and records
 * it in the audit; once more for the same account and amount answers the same. Throws SluiceError.
 */
export async function assignPayment(context: Context, assignment: Assignment): Promise<Payment> {
  const { adminKeyId, paymentId, accountId } = assignment
  return transaction(context.db, async (db) => {
    const payment = await lockPayment(db, paymentId)
    const amountMicros = amountOf(payment, assignment, context.config.currency)
    if (payment.status === 'credited') {
      if (payment.account_id === accountId && payment.credited_micros === amountMicros) return payment
      throw new SluiceError('state_conflict', `${paymentId} was credited to ${payment.account_id}.`)
    }
    if (payment.status !== 'unassigned' && payment.status !== 'dismissed')
      throw new SluiceError('state_conflict', `${paymentId} is ${payment.status}: nothing was paid yet.`)
    await requireAccount(db, accountId)
    const credited = await creditPayment(db, context, payment, { accountId, amountMicros })
    await recordChange(db, {
      keyId: adminKeyId,
      action: 'payment.credited',
      subject: accountId,
      details: {
        payment_id: paymentId,
        amount: formatMicros(amountMicros),
        currency: context.config.currency,
      },
    })
    return credited
  })
}

function amountOf(payment: Payment, { amountMicros }: Assignment, currency: string): bigint {
  if (amountMicros !== null) return amountMicros
  if (payment.currency === currency) return payment.net_micros
  throw new SluiceError(
    'missing_parameter',
    `amount is missing: ${formatMicros(payment.paid_micros)} ${payment.currency} were paid, so say how much that is in ${currency}.`,
    'amount',
  )
}

async function requireAccount(db: Database, accountId: string): Promise<void> {
  const { rowCount } = await db.query({ text: 'select from account where id = $1', values: [accountId] })
  if (rowCount === 0) throw new SluiceError('not_found', 'No such account.', 'account_id')
}

/** Puts a payment aside that is for no account, and records it in the audit. Throws SluiceError. */
export async function dismissPayment(
  context: Context,
  order: { adminKeyId: string; paymentId: string },
): Promise<Payment> {
  return transaction(context.db, async (db) => {
    const payment = await lockPayment(db, order.paymentId)
    if (payment.status === 'dismissed') return payment
    if (payment.status !== 'unassigned')
      throw new SluiceError('state_conflict', `${payment.id} is ${payment.status}: only unassigned ones are.`)
    const dismissed = await updatePayment(db, payment, { status: 'dismissed' })
    await recordChange(db, {
      keyId: order.adminKeyId,
      action: 'payment.dismissed',
      subject: payment.id,
      details: { amount: formatMicros(payment.paid_micros), currency: payment.currency },
    })
    return dismissed
  })
}

/**
 * Gives up what is still owed of a payment, as of now, and records it in the audit; without any it does
 * nothing. Throws SluiceError.
 */
export async function waiveOwed(
  context: Context,
  order: { adminKeyId: string; paymentId: string },
): Promise<Payment> {
  return transaction(context.db, async (db) => {
    const payment = await lockPayment(db, order.paymentId)
    const owed = payment.owed_micros
    if (owed === 0n) return payment
    const waived = await updatePayment(db, payment, {
      owed_micros: 0n,
      waived_micros: payment.waived_micros + owed,
    })
    await recordChange(db, {
      keyId: order.adminKeyId,
      action: 'payment.waived',
      subject: payment.account_id ?? payment.id,
      details: { payment_id: payment.id, amount: formatMicros(owed), currency: context.config.currency },
    })
    return waived
  })
}
