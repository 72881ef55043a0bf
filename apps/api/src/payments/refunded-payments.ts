import type { Database } from '../db/database.ts'
import { type LockedPayment, notePaidBack, type PaidBack, updatePayment } from './payment-store.ts'
import { wholeMinors } from './stripe-amount.ts'

/**
 * Shares a refund that the operator took off an account out among its payments, the newest first, so that
 * the provider's refunds of them take nothing off again. What was paid in another way stands in none.
 */
export async function shareOutRefund(
  db: Database,
  payments: readonly LockedPayment[],
  transferId: string,
  refundedMicros: bigint,
): Promise<void> {
  let left = refundedMicros
  for (const payment of payments.toReversed()) {
    const gone =
      payment.reversed_micros + payment.refunded_micros + payment.owed_micros + payment.waived_micros
    const room = payment.credited_micros - gone
    const amountMicros = room < left ? room : left
    if (amountMicros === 0n) continue
    await updatePayment(db, payment, { refunded_micros: payment.refunded_micros + amountMicros })
    await notePaidBack(db, transferId, { paymentId: payment.id, amountMicros })
    left -= amountMicros
  }
}

/**
 * What the provider is to pay back on a payment for a part of a refund: the same share of what was paid, tax
 * included, rounded down to what it can move. Pure.
 */
export function toPayBack(part: PaidBack): bigint {
  const { part_micros, paid_micros, credited_micros, currency } = part
  return wholeMinors((part_micros * paid_micros) / credited_micros, currency)
}
