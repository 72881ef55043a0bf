import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'

export interface LedgerCheck {
  ok: boolean
  transfers: bigint
  entries: bigint
  /** Each invariant by name with the number of rows that break it; all zero when `ok`. */
  violations: Record<string, bigint>
}

/**
 * Each statement selects the rows that break one invariant. All recompute from entries and videos: no stored
 * balance, constraint or trigger is trusted.
 */
const INVARIANTS = {
  transfers_that_do_not_sum_to_zero: `
    select transfer_id from entry group by transfer_id having sum(amount) <> 0`,
  balances_that_differ_from_their_entries: `
    select a.id
    from ledger_account a
    left join entry e on e.ledger_account_id = a.id
    where a.balance is not null
    group by a.id
    having a.balance <> coalesce(sum(e.amount), 0)`,
  negative_balances: `
    select id from ledger_account where balance < 0`,
  videos_without_exactly_one_hold: `
    select v.id
    from video v
    left join transfer t on t.video_id = v.id and t.kind = 'hold'
    group by v.id
    having count(t.id) <> 1`,
  holds_that_differ_from_their_video: `
    select v.id
    from video v
    left join transfer t on t.video_id = v.id and t.kind = 'hold'
    left join entry e on e.transfer_id = t.id
    left join ledger_account a on a.id = e.ledger_account_id
    group by v.id
    having coalesce(sum(e.amount) filter (where a.kind = 'hold'), 0) <> v.hold_micros`,
  ended_videos_without_exactly_one_settle: `
    select v.id
    from video v
    left join transfer t on t.video_id = v.id and t.kind = 'settle'
    where v.ended_at is not null
    group by v.id
    having count(t.id) <> 1`,
  unended_videos_with_a_settle: `
    select v.id
    from video v
    join transfer t on t.video_id = v.id and t.kind = 'settle'
    where v.ended_at is null`,
  charges_that_differ_from_revenue: `
    select v.id
    from video v
    join transfer t on t.video_id = v.id and t.kind = 'settle'
    left join entry e on e.transfer_id = t.id
    left join ledger_account a on a.id = e.ledger_account_id
    group by v.id
    having coalesce(sum(e.amount) filter (where a.kind = 'revenue'), 0) <> v.charged_micros`,
  failed_videos_that_were_charged: `
    select id from video where status = 'failed' and charged_micros <> 0`,
  transfers_of_unknown_videos: `
    select t.id
    from transfer t
    left join video v on v.id = t.video_id
    where t.video_id is not null and v.id is null`,
  refunds_of_other_than_paid_money: `
    select t.id
    from transfer t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id
    where t.kind = 'refund'
    group by t.id
    having bool_or(a.kind not in ('customer', 'funding'))
      or sum(e.amount) filter (where a.kind = 'customer') >= 0`,
  accounts_refunded_more_than_they_paid: `
    select e.ledger_account_id
    from transfer t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id
    where t.kind in ('top_up', 'refund') and a.kind = 'customer'
    group by e.ledger_account_id
    having sum(e.amount) < 0`,
  budgets_that_differ_from_their_videos: `
    select b.key_id
    from key_budget b
    left join video v on v.key_id = b.key_id and v.budget_starts_at = b.starts_at
    group by b.key_id, b.starts_at
    having b.used_tokens <> coalesce(sum(v.video_tokens * coalesce(v.charged_steps, v.num_steps)), 0)`,
  hold_balances_that_differ_from_open_holds: `
    select a.id
    from ledger_account a
    left join video v on v.account_id = a.account_id and v.currency = a.currency and v.ended_at is null
    where a.kind = 'hold'
    group by a.id
    having a.balance <> coalesce(sum(v.hold_micros), 0)`,
  queue_counts_that_differ_from_their_videos: `
    select account_id from queue_count_drift`,
} as const

/** Recomputes every invariant of the ledger, and counts the queue, in one consistent snapshot. */
export async function checkLedger(pool: DatabasePool): Promise<LedgerCheck> {
  return transaction(pool, countViolations, {
    isolation: 'repeatable read',
    limitMs: TIME_LIMITS.database.sumMs,
  })
}

async function countViolations(db: Database): Promise<LedgerCheck> {
  const counts = Object.entries(INVARIANTS).map(
    ([name, sql]) => `(select count(*) from (${sql}) broken) as ${name}`,
  )
  const row = one(
    await db.query<Record<string, bigint>>({
      text: `select
        (select count(*) from transfer) as transfers,
        (select count(*) from entry) as entries,
        ${counts.join(',\n        ')}`,
    }),
  )
  const { transfers = 0n, entries = 0n, ...violations } = row
  return { ok: Object.values(violations).every((count) => count === 0n), transfers, entries, violations }
}
