import type { Database } from '../db/database.ts'
import { lockOwned, type OwnedAccount, type SystemAccounts } from './accounts.ts'
import { postAll, type Transfer } from './post.ts'
import { inSpendingOrder, type Purse, spendableMicros } from './purse.ts'

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
 * The transfer that sets `amountMicros` aside for a video, taken in the spending order, and what the account
 * has after it. Post it in the transaction that has locked the money. Throws BalanceTooSmallError when the
 * purse does not cover the amount. Pure.
 */
export function holdOf(
  videoId: string,
  amountMicros: bigint,
  purse: Purse,
): { transfer: Transfer; after: Purse } {
  const available = spendableMicros(purse)
  if (available < amountMicros) throw new BalanceTooSmallError(amountMicros, available)
  const taken = new Map<bigint, bigint>()
  let missing = amountMicros
  for (const { id, balanceMicros } of inSpendingOrder(purse)) {
    const part = balanceMicros < missing ? balanceMicros : missing
    taken.set(id, part)
    missing -= part
  }
  const without = <Source extends OwnedAccount>(source: Source): Source => ({
    ...source,
    balanceMicros: source.balanceMicros - (taken.get(source.id) ?? 0n),
  })
  return {
    transfer: {
      kind: 'hold',
      idempotencyKey: `hold:${videoId}`,
      videoId,
      postings: [
        ...[...taken].map(([ledgerAccountId, part]) => ({ ledgerAccountId, amountMicros: -part })),
        { ledgerAccountId: purse.hold.id, amountMicros },
      ],
    },
    after: {
      dated: purse.dated.map(without).filter(({ balanceMicros }) => balanceMicros > 0n),
      lapsed: purse.lapsed,
      trial: without(purse.trial),
      customer: without(purse.customer),
      hold: { id: purse.hold.id, balanceMicros: purse.hold.balanceMicros + amountMicros },
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
 * Ends a video's hold: the charge goes to revenue, the rest returns to where it came from, also to credit
 * that has expired meanwhile. The charge uses up what was taken first. A rebate takes back from revenue what
 * a charge that is smaller by it would not have used. The idempotency keys name the video alone, so that a
 * second settlement fails on the unique index, whichever attempt it comes from. Throws RangeError when the
 * charge is negative or larger than the hold, or the rebate negative or larger than the charge.
 */
export async function settle(db: Database, settlement: Settlement, system: SystemAccounts): Promise<void> {
  const accounts = await lockOwned(db, settlement.accountId, settlement.currency)
  const { videoId, chargeMicros, rebateMicros } = settlement
  const sources = await readSources(db, videoId)
  const held = sources.reduce((sum, { takenMicros }) => sum + takenMicros, 0n)
  if (chargeMicros < 0n || chargeMicros > held) {
    throw new RangeError(`a charge of ${chargeMicros} does not fit the hold of ${held} on ${videoId}`)
  }
  if (rebateMicros < 0n || rebateMicros > chargeMicros) {
    throw new RangeError(
      `a rebate of ${rebateMicros} does not fit the charge of ${chargeMicros} on ${videoId}`,
    )
  }
  const returned = returnsOf(sources, chargeMicros)
  const settled: Transfer = {
    kind: 'settle',
    idempotencyKey: `settle:${videoId}`,
    videoId,
    postings: [
      { ledgerAccountId: accounts.hold.id, amountMicros: -held },
      { ledgerAccountId: system.revenue, amountMicros: chargeMicros },
      ...returned,
    ],
  }
  if (rebateMicros === 0n) {
    await postAll(db, [settled])
    return
  }
  const rebate: Transfer = {
    kind: 'rebate',
    idempotencyKey: `rebate:${videoId}`,
    videoId,
    postings: [
      { ledgerAccountId: system.revenue, amountMicros: -rebateMicros },
      ...returnsOf(sources, chargeMicros - rebateMicros).map(({ ledgerAccountId, amountMicros }, at) => ({
        ledgerAccountId,
        amountMicros: amountMicros - (returned[at]?.amountMicros ?? 0n),
      })),
    ],
  }
  await postAll(db, [settled, rebate])
}

/** What a hold took from one ledger account. */
interface HoldSource {
  ledgerAccountId: bigint
  takenMicros: bigint
}

/** What the hold of a video was taken from, in the order in which it was taken. */
async function readSources(db: Database, videoId: string): Promise<HoldSource[]> {
  const { rows } = await db.query<{ ledger_account_id: bigint; amount: bigint }>({
    name: 'ledger-held',
    text: `select e.ledger_account_id, e.amount
    from transfer t
    join entry e on e.transfer_id = t.id
    where t.video_id = $1 and t.kind = 'hold' and e.amount < 0
    order by e.id`,
    values: [videoId],
  })
  return rows.map((row) => ({ ledgerAccountId: row.ledger_account_id, takenMicros: -row.amount }))
}

/**
 * What goes back to each source when `chargeMicros` are kept: what was taken first is used up first, so that
 * what comes back is what lasts longest. Pure.
 */
function returnsOf(
  sources: readonly HoldSource[],
  chargeMicros: bigint,
): { ledgerAccountId: bigint; amountMicros: bigint }[] {
  let open = chargeMicros
  return sources.map(({ ledgerAccountId, takenMicros }) => {
    const used = takenMicros < open ? takenMicros : open
    open -= used
    return { ledgerAccountId, amountMicros: takenMicros - used }
  })
}
