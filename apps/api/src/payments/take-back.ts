import { sayCrossingsOf } from '../accounts/balance-alerts.ts'
import type { Context } from '../context.ts'
import type { Database } from '../db/database.ts'
import type { SystemAccounts } from '../ledger/accounts.ts'
import { type Funding, reinstate, takeBack } from '../ledger/fund.ts'
import { lockPurse } from '../ledger/purse.ts'
import { type LockedPayment, type Payment, readReversedOfPaid, updatePayment } from './payment-store.ts'

/**
 * What is to be gone of a payment's credit once `reversedOfPaid` of what was paid went back: the same share,
 * rounded down; without what the operator's refund took already, or waived. Pure.
 */
export function dueMicros(
  payment: Pick<Payment, 'paid_micros' | 'credited_micros' | 'refunded_micros' | 'waived_micros'>,
  reversedOfPaid: bigint,
): bigint {
  const { paid_micros: paid, credited_micros: credited } = payment
  const share = reversedOfPaid >= paid ? credited : (credited * reversedOfPaid) / paid
  const due = share - payment.refunded_micros - payment.waived_micros
  return due < 0n ? 0n : due
}

/**
 * Takes back of a credited payment what its refunds and disputes ask for, as far as it is unused; the rest is
 * owed. Gives again what they no longer ask for. Those in another currency are noted as the payment's problem
 * as long as they stand. The locks on the payment's row and then on the account's
 * money make that happen once, however often it is called.
 */
export async function settleReversals(
  db: Database,
  { config, systemAccounts }: Context,
  payment: LockedPayment,
): Promise<LockedPayment> {
  if (payment.status !== 'credited' || payment.account_id === null) return payment
  const { reversedMicros, hasOtherCurrency } = await readReversedOfPaid(db, payment)
  const due = dueMicros(payment, reversedMicros)
  const problem = hasOtherCurrency ? 'reversed_in_other_currency' : null
  const funding = {
    accountId: payment.account_id,
    currency: config.currency,
    idempotencyKey: `payment:${payment.id}:${payment.moves + 1}`,
  }
  const missing = due - payment.reversed_micros
  if (missing < 0n) {
    await reinstate(db, { ...funding, amountMicros: -missing }, systemAccounts)
    const moves = payment.moves + 1
    return updatePayment(db, payment, { problem, reversed_micros: due, owed_micros: 0n, moves })
  }
  const taken = missing === 0n ? 0n : await take(db, { ...funding, amountMicros: missing }, systemAccounts)
  if (taken === 0n && payment.owed_micros === missing && payment.problem === problem) return payment
  return updatePayment(db, payment, {
    problem,
    reversed_micros: payment.reversed_micros + taken,
    owed_micros: missing - taken,
    moves: payment.moves + (taken === 0n ? 0 : 1),
  })
}

/** Takes back what is there, and says it when the balance gets low by that. Returns how much it was. */
async function take(db: Database, funding: Funding, system: SystemAccounts): Promise<bigint> {
  const { accountId, currency } = funding
  const before = await lockPurse(db, accountId, currency)
  const taken = await takeBack(db, funding, system)
  const after = await lockPurse(db, accountId, currency)
  await sayCrossingsOf(db, { accountId, before, after, wasRefused: false }, currency)
  return taken
}
