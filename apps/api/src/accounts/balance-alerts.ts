import { formatMicros } from '@sluice/shared/money'
import type { Database } from '../db/database.ts'
import { type Purse, postedMicros, spendableMicros } from '../ledger/purse.ts'
import { enqueueEvent } from '../webhooks/enqueue.ts'
import type { BalanceEvent } from '../webhooks/event.ts'

/** What an account is told of its balance. */
export interface BalanceAlerts {
  /** Below it `balance.low` is sent; null = never. */
  lowMicros: bigint | null
  /** `balance.exhausted` was sent, and no money came in or back since. */
  isExhausted: boolean
}

/** What a transaction that has locked an account's money did to it. */
export interface BalanceChange {
  accountId: string
  before: Purse
  after: Purse
  /** A video was refused for want of balance. */
  wasRefused: boolean
}

/**
 * The crossings of a balance: it fell below the threshold; there is nothing left, or too little for a video
 * that was asked for. Changes of an account follow one another under a lock, so a crossing is one change's.
 * Pure.
 */
export function crossingsOf(
  { before, after, wasRefused }: Omit<BalanceChange, 'accountId'>,
  { lowMicros, isExhausted }: BalanceAlerts,
): BalanceEvent[] {
  const [beforeMicros, afterMicros] = [postedMicros(before), postedMicros(after)]
  const isLow = lowMicros !== null && beforeMicros >= lowMicros && afterMicros < lowMicros
  const runsOut = wasRefused || (beforeMicros > 0n && afterMicros === 0n)
  return [
    ...(isLow ? (['balance.low'] as const) : []),
    ...(runsOut && !isExhausted ? (['balance.exhausted'] as const) : []),
  ]
}

/**
 * Sends the events of the crossings, if and only if the transaction commits. Returns at once when there are
 * none.
 */
export async function sayCrossings(
  db: Database,
  change: BalanceChange,
  alerts: BalanceAlerts,
  currency: string,
): Promise<void> {
  const { accountId, after } = change
  for (const type of crossingsOf(change, alerts)) {
    if (type === 'balance.exhausted' && !(await markExhausted(db, accountId))) continue
    const money = (micros: bigint) => ({ amount: formatMicros(micros), currency })
    const data = {
      balance: money(spendableMicros(after)),
      balance_low: alerts.lowMicros === null ? null : money(alerts.lowMicros),
    }
    await enqueueEvent(db, { type, accountId, subjectId: accountId, data, url: null })
  }
}

/** As `sayCrossings`, where the account's alerts were not read yet. */
export async function sayCrossingsOf(db: Database, change: BalanceChange, currency: string): Promise<void> {
  await sayCrossings(db, change, await readAlerts(db, change.accountId), currency)
}

/** False when it was said already. The mark is taken away by whatever raises a balance: a trigger. */
async function markExhausted(db: Database, accountId: string): Promise<boolean> {
  const { rowCount } = await db.query({
    text: 'update account set exhausted_at = now() where id = $1 and exhausted_at is null',
    values: [accountId],
  })
  return rowCount === 1
}

async function readAlerts(db: Database, accountId: string): Promise<BalanceAlerts> {
  const { rows } = await db.query<{ low: bigint | null; is_exhausted: boolean }>({
    text: `select balance_low_micros as low, exhausted_at is not null as is_exhausted
    from account
    where id = $1`,
    values: [accountId],
  })
  return { lowMicros: rows[0]?.low ?? null, isExhausted: rows[0]?.is_exhausted ?? true }
}
