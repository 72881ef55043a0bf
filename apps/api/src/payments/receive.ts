import { formatMicros } from '@sluice/shared/money'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { creditPayment } from './credit-payment.ts'
import type { PaymentEvent, PaymentSaid, ReversalSaid } from './payment-event.ts'
import {
  type LockedPayment,
  lockIntent,
  lockOfIntent,
  lockSaid,
  noteReversal,
  type Payment,
  readReversedOfPaid,
  type UnassignedProblem,
  updatePayment,
} from './payment-store.ts'
import { settleReversals } from './take-back.ts'

/**
 * Does what a payment provider says, in one transaction, and returns the payment as it is then; null when it
 * is about one that is not known yet. The same event again, at whatever process, changes nothing. What is
 * said in another order comes to the same.
 */
export async function receivePaymentEvent(context: Context, event: PaymentEvent): Promise<Payment | null> {
  const payment = await transaction(context.db, (db) =>
    event.kind === 'payment' ? receivePayment(db, context, event) : receiveReversal(db, context, event),
  )
  logPayment(context, event, payment)
  return payment
}

async function receivePayment(db: Database, context: Context, said: PaymentSaid): Promise<LockedPayment> {
  if (said.intent !== null) await lockIntent(db, said.provider, said.intent)
  const known = await lockSaid(db, said)
  if (known.status === 'credited' || known.status === 'dismissed') return known
  if (said.state === 'unpaid') return known
  if (said.state === 'failed')
    return known.status === 'pending' ? updatePayment(db, known, { status: 'failed' }) : known
  // Also after it had failed: the money is there. The way of paying may be chosen after the checkout was
  // first heard of, and the account opened.
  const payment = await updatePayment(db, known, {
    intent: said.intent ?? known.intent,
    account_id: known.account_id ?? (await findAccount(db, known.reference)),
  })
  const { account_id: accountId, net_micros: amountMicros } = payment
  const problem = problemOf(context, payment, said)
  if (problem !== null || accountId === null) return putAside(db, payment, problem ?? 'unknown_account')
  return creditPayment(db, context, payment, { accountId, amountMicros })
}

/** Why nobody can be credited; null = its account can. */
function problemOf({ config }: Context, payment: Payment, said: PaymentSaid): UnassignedProblem | null {
  if (said.isSubscription) return 'subscription'
  if (payment.reference === null) return 'no_account'
  if (payment.account_id === null) return 'unknown_account'
  return payment.currency === config.currency ? null : 'other_currency'
}

async function findAccount(db: Database, reference: string | null): Promise<string | null> {
  const { rows } = await db.query<{ id: string }>({
    text: 'select id from account where id = $1',
    values: [reference],
  })
  return rows[0]?.id ?? null
}

/** What was paid back in full meanwhile is for nobody to assign. */
async function putAside(
  db: Database,
  payment: LockedPayment,
  problem: Payment['problem'],
): Promise<LockedPayment> {
  const { reversedMicros } = await readReversedOfPaid(db, payment)
  const isPaidBack = reversedMicros >= payment.paid_micros
  return updatePayment(db, payment, { status: isPaidBack ? 'dismissed' : 'unassigned', problem })
}

async function receiveReversal(
  db: Database,
  context: Context,
  said: ReversalSaid,
): Promise<LockedPayment | null> {
  await lockIntent(db, said.provider, said.intent)
  const payment = await lockOfIntent(db, said)
  await noteReversal(db, said)
  if (payment === null) return null
  if (payment.status !== 'unassigned') return settleReversals(db, context, payment)
  return payment.problem === null ? payment : putAside(db, payment, payment.problem)
}

function logPayment({ log, config }: Context, event: PaymentEvent, payment: Payment | null): void {
  if (payment === null) return
  const { id, session, account_id: account, status, problem } = payment
  const facts = { payment: id, session, account, paid: formatMicros(payment.paid_micros) }
  if (event.kind === 'reversal' && event.currency !== payment.currency)
    log.warn(
      { ...facts, currency: event.currency },
      'a refund or dispute in another currency: not taken back',
    )
  else if (status === 'unassigned')
    log.warn({ ...facts, problem }, 'a payment was made and nobody was credited: see `sluice payments list`')
  else if (payment.owed_micros > 0n)
    log.warn({ ...facts, owed: formatMicros(payment.owed_micros) }, 'what was paid back is spent already')
  else log.info({ ...facts, status, currency: config.currency }, 'payment')
}
