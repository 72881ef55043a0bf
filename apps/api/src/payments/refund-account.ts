import { type Order, refundAccountIn } from '../accounts/credit.ts'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import type { Refund } from '../ledger/fund.ts'
import { lockCredited } from './payment-store.ts'
import { shareOutRefund } from './refunded-payments.ts'

/**
 * Takes the whole unused paid balance off an account, to be paid back by the operator, and notes on which
 * payments what came through a provider is to be paid back. Throws SluiceError for an unknown account.
 */
export async function refundAccount(context: Context, order: Order): Promise<Refund> {
  return transaction(context.db, async (db) => {
    const payments = await lockCredited(db, order.accountId)
    const { isRepeat, ...refund } = await refundAccountIn(db, context, order)
    if (refund.transferId !== null && !isRepeat)
      await shareOutRefund(db, payments, refund.transferId, refund.amountMicros)
    return refund
  })
}
