import { unixSeconds } from '@sluice/shared/clock'
import { newId } from '@sluice/shared/ids'
import { formatMicros } from '@sluice/shared/money'
import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, one, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { OwnedKind } from '../ledger/accounts.ts'
import { grantTrial, type Refund, refundUnused, topUp } from '../ledger/fund.ts'
import { findTransfer, type TransferRow } from '../ledger/list-transfers.ts'
import { type CreditKind, lockPurse, OWNER_OF, type Purse } from '../ledger/purse.ts'
import { readAccount } from './account-store.ts'
import { sayCrossingsOf } from './balance-alerts.ts'

/** Who moves money of which account; the same idempotency key again returns the first transfer. */
export interface Order {
  adminKeyId: string
  accountId: string
  idempotencyKey: string | null
}

/** Credit to add; without a date it never expires. */
export interface NewCredit {
  kind: CreditKind
  amountMicros: bigint
  expiresAt: Date | null
}

/** What was added, and the credit it is when it has an expiry date. */
export interface Credited {
  transferId: string
  creditId: string | null
}

/** Each is looked at by every submission of the account: more is a mistake. */
const DATED_CREDITS_MAX = 1_000

/**
 * Adds money the customer paid, or promotional credit nobody paid for, and records it in the audit. Throws
 * SluiceError for an unknown account, when it has too many credits with an expiry date, and when the
 * idempotency key was used for another amount, kind or date.
 */
export async function creditAccount(context: Context, order: Order & NewCredit): Promise<Credited> {
  const { accountId, amountMicros, expiresAt } = order
  const { currency } = context.config
  return transaction(context.db, async (db) => {
    await readAccount(db, accountId)
    const { idempotencyKey, earlier, purse } = await beginOnce(db, 'credit', order, currency)
    if (earlier !== null) {
      const creditId = creditOf(earlier)
      if (await isSameCredit(db, earlier, creditId, order)) return { transferId: earlier.id, creditId }
      throw new SluiceError(
        'idempotency_conflict',
        'This idempotency_key was used for another credit.',
        'idempotency_key',
      )
    }
    if (expiresAt !== null && purse.dated.length >= DATED_CREDITS_MAX) {
      throw new SluiceError(
        'state_conflict',
        `This account has ${purse.dated.length} credits with an expiry date, which is the most allowed.`,
      )
    }
    const fund = order.kind === 'paid' ? topUp : grantTrial
    const transferId = await fund(
      db,
      { accountId, currency, amountMicros, idempotencyKey, ...(expiresAt === null ? {} : { expiresAt }) },
      context.systemAccounts,
    )
    const details = {
      kind: order.kind,
      amount: formatMicros(amountMicros),
      currency,
      transfer_id: transferId,
      ...(expiresAt === null ? {} : { expires_at: unixSeconds(expiresAt) }),
    }
    await recordChange(db, {
      keyId: order.adminKeyId,
      action: 'account.credited',
      subject: accountId,
      details,
    })
    const posted = expiresAt === null ? null : await findTransfer(db, idempotencyKey)
    return { transferId, creditId: posted === null ? null : creditOf(posted) }
  })
}

/**
 * Takes the whole unused paid balance off the account, to be paid back by the operator, and records it in the
 * audit. `isRepeat`: the same idempotency key did so before. Throws SluiceError for an unknown account.
 */
export async function refundAccountIn(
  db: Database,
  context: Context,
  order: Order,
): Promise<Refund & { isRepeat: boolean }> {
  const { accountId } = order
  const { currency } = context.config
  await readAccount(db, accountId)
  const { idempotencyKey, earlier, purse } = await beginOnce(db, 'refund', order, currency)
  if (earlier !== null)
    return { transferId: earlier.id, amountMicros: -amountOf(earlier, 'customer'), isRepeat: true }
  const refund = await refundUnused(db, { accountId, currency, idempotencyKey }, context.systemAccounts)
  if (refund.transferId !== null) {
    const details = { amount: formatMicros(refund.amountMicros), currency, transfer_id: refund.transferId }
    await recordChange(db, {
      keyId: order.adminKeyId,
      action: 'account.refunded',
      subject: accountId,
      details,
    })
    const after = await lockPurse(db, accountId, currency)
    await sayCrossingsOf(db, { accountId, before: purse, after, wasRefused: false }, currency)
  }
  return { ...refund, isRepeat: false }
}

/**
 * Locks the account's money, so that of several orders with one key the second finds the first's transfer.
 */
async function beginOnce(
  db: Database,
  word: 'credit' | 'refund',
  order: Order,
  currency: string,
): Promise<{ idempotencyKey: string; earlier: TransferRow | null; purse: Purse }> {
  const purse = await lockPurse(db, order.accountId, currency)
  const idempotencyKey = `${word}:${order.accountId}:${order.idempotencyKey ?? newId('req')}`
  return {
    idempotencyKey,
    purse,
    earlier: order.idempotencyKey === null ? null : await findTransfer(db, idempotencyKey),
  }
}

/** The credit with an expiry date that a transfer filled; null when it is none. */
function creditOf(transfer: TransferRow): string | null {
  return transfer.entries.find(({ credit_id }) => credit_id !== null)?.credit_id ?? null
}

/** Whether a transfer added just this. */
async function isSameCredit(
  db: Database,
  transfer: TransferRow,
  creditId: string | null,
  { kind, amountMicros, expiresAt }: NewCredit,
): Promise<boolean> {
  if (amountOf(transfer, OWNER_OF[kind]) !== amountMicros) return false
  if (creditId === null || expiresAt === null) return creditId === expiresAt
  const { expires_at } = one(
    await db.query<{ expires_at: Date }>({
      text: 'select expires_at from credit where id = $1',
      values: [creditId],
    }),
  )
  return expires_at.getTime() === expiresAt.getTime()
}

function amountOf(transfer: TransferRow, kind: OwnedKind): bigint {
  return transfer.entries
    .filter((entry) => entry.account_kind === kind)
    .reduce((sum, entry) => sum + BigInt(entry.amount_micros), 0n)
}
