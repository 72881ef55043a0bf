import type { BalanceAlerts } from '../accounts/balance-alerts.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { queueCountSql } from '../keys/queue-counts.ts'
import { hasDatedSql } from '../ledger/purse.ts'

interface AccountQueue {
  queued: bigint
  inFlight: bigint
  queuedMax: number
  unfinishedMax: number | null
  alerts: BalanceAlerts
  hasDatedCredit: boolean
}

interface QueueRow {
  account_id: string
  /** Empty: the account's own row, which alone has limits. */
  key_id: string
  queued: bigint
  in_flight: bigint
  queued_max: number | null
  unfinished_max: number | null
  balance_low_micros: bigint | null
  is_exhausted: boolean | null
  has_dated: boolean | null
}

/** What some accounts and keys have queued and unfinished, and how much more they may. */
export class QueueLimits {
  readonly #accounts = new Map<string, AccountQueue>()
  readonly #queuedOfKey = new Map<string, bigint>()

  private constructor(rows: readonly QueueRow[]) {
    for (const row of rows) {
      if (row.key_id !== '') this.#queuedOfKey.set(row.key_id, row.queued)
      else {
        this.#accounts.set(row.account_id, {
          queued: row.queued,
          inFlight: row.in_flight,
          queuedMax: row.queued_max ?? 0,
          unfinishedMax: row.unfinished_max,
          alerts: { lowMicros: row.balance_low_micros, isExhausted: row.is_exhausted ?? true },
          hasDatedCredit: row.has_dated ?? false,
        })
      }
    }
  }

  /**
   * Reads them for the keys and their accounts, in one statement. While the money of the accounts is locked
   * nothing is added to their queues, so what is read stays true until `add`, or becomes less.
   */
  static async read(db: Database, keys: Iterable<AccountKey>): Promise<QueueLimits> {
    const limited = new Map<string, string>()
    const accountIds = new Set<string>()
    for (const { id, accountId, limits } of keys) {
      accountIds.add(accountId)
      if (limits.queuedMax !== null) limited.set(id, accountId)
    }
    const { rows } = await db.query<QueueRow>({
      name: 'queue-limits',
      text: `
        select a.id as account_id, '' as key_id, c.queued, c.in_flight, a.queued_max, a.unfinished_max,
          a.balance_low_micros, a.exhausted_at is not null as is_exhausted,
          ${hasDatedSql('a.id')} as has_dated
        from account a, lateral ${queueCountSql('a.id')} c
        where a.id = any ($1::text[])
        union all
        select k.account_id, k.id, c.queued, c.in_flight, null, null, null, null, null
        from unnest($2::text[], $3::text[]) k(account_id, id),
          lateral ${queueCountSql('k.account_id', 'k.id')} c`,
      values: [[...accountIds], [...limited.values()], [...limited.keys()]],
    })
    return new QueueLimits(rows)
  }

  /** Throws SluiceError `queue_full` when account or key have as many queued or unfinished as they may. */
  check({ id, accountId, limits: { queuedMax: queuedMaxOfKey } }: AccountKey): void {
    const queuedOfKey = this.#queuedOfKey.get(id) ?? 0n
    if (queuedMaxOfKey !== null && queuedOfKey >= BigInt(queuedMaxOfKey))
      throw queueFull(`This key has ${queuedOfKey} videos queued`, queuedMaxOfKey)
    const { queued, inFlight, queuedMax, unfinishedMax } = this.#of(accountId)
    if (queued >= BigInt(queuedMax)) throw queueFull(`This account has ${queued} videos queued`, queuedMax)
    const unfinished = queued + inFlight
    if (unfinishedMax !== null && unfinished >= BigInt(unfinishedMax))
      throw queueFull(`This account has ${unfinished} videos queued or running`, unfinishedMax)
  }

  /** Counts a video of the key that this transaction queues. */
  add({ id, accountId }: AccountKey): void {
    this.#of(accountId).queued += 1n
    this.#queuedOfKey.set(id, (this.#queuedOfKey.get(id) ?? 0n) + 1n)
  }

  /** What the account is told of its balance: it stands in the row that its limits are in. */
  alertsOf(accountId: string): BalanceAlerts {
    return this.#of(accountId).alerts
  }

  /** The accounts that have credit with an expiry date. */
  withDatedCredit(): string[] {
    return [...this.#accounts].flatMap(([accountId, { hasDatedCredit }]) => (hasDatedCredit ? accountId : []))
  }

  #of(accountId: string): AccountQueue {
    const account = this.#accounts.get(accountId)
    if (account === undefined) throw new Error(`the queue of account ${accountId} was not read`)
    return account
  }
}

function queueFull(state: string, max: number): SluiceError {
  return new SluiceError('queue_full', `${state}; at most ${max} are allowed. Wait for some to finish.`)
}
