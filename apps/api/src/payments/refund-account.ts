import { type Order, refundAccountIn } from '../accounts/credit.ts'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import type { Refund } from '../ledger/fund.ts'
import { type LockedPayment, lockCredited } from './payment-store.ts'
import { shareOutRefund } from './refunded-payments.ts'
import { settleReversals } from './take-back.ts'

/**
 * Takes the whole unused paid balance off an account, to be paid back by the operator, and notes on which
 * payments what came through a provider is to be paid back. What the account owes is taken first: it was paid
 * back before. Throws SluiceError for an unknown account.
 */
export async function refundAccount(context: Context, order: Order): Promise<Refund> {
  return transaction(context.db, async (db) => {
    const payments: LockedPayment[] = []
    for (const payment of await lockCredited(db, order.accountId))
      payments.push(payment.owed_micros > 0n ? await settleReversals(db, context, payment) : payment)
    const { isRepeat, ...refund } = await refundAccountIn(db, context, order)
    if (refund.transferId !== null && !isRepeat)
      await shareOutRefund(db, payments, refund.transferId, refund.amountMicros)
    return refund
  })
}
