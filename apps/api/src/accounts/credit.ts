import { newId } from '@sluice/shared/ids'
import { formatMicros } from '@sluice/shared/money'
import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { lockOwned, type OwnedKind } from '../ledger/accounts.ts'
import { grantTrial, type Refund, refundUnused, topUp } from '../ledger/fund.ts'
import { findTransfer, type TransferRow } from '../ledger/list-transfers.ts'
import { readAccount } from './account-store.ts'

export const CREDIT_KINDS = ['paid', 'trial'] as const
export type CreditKind = (typeof CREDIT_KINDS)[number]

/** Who moves money of which account; the same idempotency key again returns the first transfer. */
interface Order {
  adminKeyId: string
  accountId: string
  idempotencyKey: string | null
}

/**
 * Adds money the customer paid, or trial credit nobody paid for, and records it in the audit. Returns the
 * transfer's id. Throws SluiceError for an unknown account, and when the idempotency key was used for another
 * amount or kind.
 */
export async function creditAccount(
  context: Context,
  order: Order & { kind: CreditKind; amountMicros: bigint },
): Promise<string> {
  const { accountId, amountMicros } = order
  const { currency } = context.config
  return transaction(context.db, async (db) => {
    await readAccount(db, accountId)
    const { idempotencyKey, earlier } = await beginOnce(db, 'credit', order, currency)
    if (earlier !== null) {
      const owner = order.kind === 'paid' ? 'customer' : 'trial'
      if (amountOf(earlier, owner) === amountMicros) return earlier.id
      throw new SluiceError(
        'idempotency_conflict',
        'This idempotency_key was used for another credit.',
        'idempotency_key',
      )
    }
    const fund = order.kind === 'paid' ? topUp : grantTrial
    const transferId = await fund(
      db,
      { accountId, currency, amountMicros, idempotencyKey },
      context.systemAccounts,
    )
    const details = {
      kind: order.kind,
      amount: formatMicros(amountMicros),
      currency,
      transfer_id: transferId,
    }
    await recordChange(db, {
      keyId: order.adminKeyId,
      action: 'account.credited',
      subject: accountId,
      details,
    })
    return transferId
  })
}

/**
 * Takes the whole unused paid balance off the account, to be paid back by the operator, and records it in the
 * audit. Throws SluiceError for an unknown account.
 */
export async function refundAccount(context: Context, order: Order): Promise<Refund> {
  const { accountId } = order
  const { currency } = context.config
  return transaction(context.db, async (db) => {
    await readAccount(db, accountId)
    const { idempotencyKey, earlier } = await beginOnce(db, 'refund', order, currency)
    if (earlier !== null) return { transferId: earlier.id, amountMicros: -amountOf(earlier, 'customer') }
    const refund = await refundUnused(db, { accountId, currency, idempotencyKey }, context.systemAccounts)
    if (refund.transferId !== null) {
      const details = { amount: formatMicros(refund.amountMicros), currency, transfer_id: refund.transferId }
      await recordChange(db, {
        keyId: order.adminKeyId,
        action: 'account.refunded',
        subject: accountId,
        details,
      })
    }
    return refund
  })
}

/**
 * Locks the account's money, so that of several orders with one key the second finds the first's transfer.
 */
async function beginOnce(
  db: Database,
  word: 'credit' | 'refund',
  order: Order,
  currency: string,
): Promise<{ idempotencyKey: string; earlier: TransferRow | null }> {
  await lockOwned(db, order.accountId, currency)
  const idempotencyKey = `${word}:${order.accountId}:${order.idempotencyKey ?? newId('req')}`
  return {
    idempotencyKey,
    earlier: order.idempotencyKey === null ? null : await findTransfer(db, idempotencyKey),
  }
}

function amountOf(transfer: TransferRow, kind: OwnedKind): bigint {
  return transfer.entries
    .filter((entry) => entry.account_kind === kind)
    .reduce((sum, entry) => sum + BigInt(entry.amount_micros), 0n)
}
