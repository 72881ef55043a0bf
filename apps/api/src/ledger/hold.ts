import type { Database } from '../db/database.ts'
import { lockOwned, type OwnedAccounts, type SystemAccounts } from './accounts.ts'
import { postAll, type Transfer } from './post.ts'

/** The balance of an account does not cover a hold. */
export class BalanceTooSmallError extends Error {
  override readonly name = 'BalanceTooSmallError'
  readonly neededMicros: bigint
  readonly availableMicros: bigint

  constructor(neededMicros: bigint, availableMicros: bigint) {
    super(`the hold needs ${neededMicros} micro-units, the balance has ${availableMicros}`)
    this.neededMicros = neededMicros
    this.availableMicros = availableMicros
  }
}

/**
 * The transfer that sets `amountMicros` aside for a video, trial credit first, then paid money, and what the
 * accounts have after it. Post it in the transaction that has locked them. Throws BalanceTooSmallError when
 * they do not cover the amount. Pure.
 */
export function holdOf(
  videoId: string,
  amountMicros: bigint,
  { trial, customer, hold }: OwnedAccounts,
): { transfer: Transfer; after: OwnedAccounts } {
  const available = trial.balanceMicros + customer.balanceMicros
  if (available < amountMicros) throw new BalanceTooSmallError(amountMicros, available)
  const fromTrial = trial.balanceMicros < amountMicros ? trial.balanceMicros : amountMicros
  const fromCustomer = amountMicros - fromTrial
  return {
    transfer: {
      kind: 'hold',
      idempotencyKey: `hold:${videoId}`,
      videoId,
      postings: [
        { ledgerAccountId: trial.id, amountMicros: -fromTrial },
        { ledgerAccountId: customer.id, amountMicros: -fromCustomer },
        { ledgerAccountId: hold.id, amountMicros },
      ],
    },
    after: {
      trial: { id: trial.id, balanceMicros: trial.balanceMicros - fromTrial },
      customer: { id: customer.id, balanceMicros: customer.balanceMicros - fromCustomer },
      hold: { id: hold.id, balanceMicros: hold.balanceMicros + amountMicros },
    },
  }
}

export interface Settlement {
  videoId: string
  accountId: string
  currency: string
  chargeMicros: bigint
  /** What is given back of the charge, since the video's promise was missed. */
  rebateMicros: bigint
}

/**
 * Ends a video's hold: the charge goes to revenue, the rest returns to where it came from. The charge uses up
 * trial credit first. A rebate takes back from revenue what a charge that is smaller by it would not have
 * used. The idempotency keys name the video alone, so that a second settlement fails on the unique index,
 * whichever attempt it comes from. Throws RangeError when the charge is negative or larger than the hold, or
 * the rebate negative or larger than the charge.
 */
export async function settle(db: Database, settlement: Settlement, system: SystemAccounts): Promise<void> {
  const accounts = await lockOwned(db, settlement.accountId, settlement.currency)
  const { rows } = await db.query<{ ledger_account_id: bigint; amount: bigint }>({
    name: 'ledger-held',
    text: `select e.ledger_account_id, e.amount
    from transfer t
    join entry e on e.transfer_id = t.id
    where t.video_id = $1 and t.kind = 'hold'`,
    values: [settlement.videoId],
  })
  const heldFrom = (id: bigint) =>
    rows.filter((row) => row.ledger_account_id === id).reduce((sum, row) => sum - row.amount, 0n)
  const fromTrial = heldFrom(accounts.trial.id)
  const fromCustomer = heldFrom(accounts.customer.id)
  const held = fromTrial + fromCustomer
  const { videoId, chargeMicros, rebateMicros } = settlement
  if (chargeMicros < 0n || chargeMicros > held) {
    throw new RangeError(`a charge of ${chargeMicros} does not fit the hold of ${held} on ${videoId}`)
  }
  if (rebateMicros < 0n || rebateMicros > chargeMicros) {
    throw new RangeError(
      `a rebate of ${rebateMicros} does not fit the charge of ${chargeMicros} on ${videoId}`,
    )
  }
  const trialUsed = chargeMicros < fromTrial ? chargeMicros : fromTrial
  const settled: Transfer = {
    kind: 'settle',
    idempotencyKey: `settle:${videoId}`,
    videoId,
    postings: [
      { ledgerAccountId: accounts.hold.id, amountMicros: -held },
      { ledgerAccountId: system.revenue, amountMicros: chargeMicros },
      { ledgerAccountId: accounts.trial.id, amountMicros: fromTrial - trialUsed },
      { ledgerAccountId: accounts.customer.id, amountMicros: fromCustomer - (chargeMicros - trialUsed) },
    ],
  }
  if (rebateMicros === 0n) {
    await postAll(db, [settled])
    return
  }
  const leftMicros = chargeMicros - rebateMicros
  const trialBack = trialUsed - (leftMicros < fromTrial ? leftMicros : fromTrial)
  const rebate: Transfer = {
    kind: 'rebate',
    idempotencyKey: `rebate:${videoId}`,
    videoId,
    postings: [
      { ledgerAccountId: system.revenue, amountMicros: -rebateMicros },
      { ledgerAccountId: accounts.trial.id, amountMicros: trialBack },
      { ledgerAccountId: accounts.customer.id, amountMicros: rebateMicros - trialBack },
    ],
  }
  await postAll(db, [settled, rebate])
}
