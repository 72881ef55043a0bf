/** Transfers of money that came to an account from outside, and that went back. */
const PAID_KINDS = "'top_up', 'refund', 'reversal', 'reinstatement'"

/*
 * What a check of the ledger reads, page by page. Each statement counts by name what breaks an invariant; no
 * stored balance, constraint or trigger is trusted. A page is read in a snapshot of its own: a transfer never
 * changes, and every rule about a video holds after each commit.
 */

/** The entries after $1 up to $2: whether their transfers sum to zero, and what they come to by account. */
export const ENTRIES_SQL = `
  with e as materialized (
    select id, transfer_id, ledger_account_id, amount from entry where id > $1 and id <= $2
  ),
  t as materialized (
    select e.transfer_id, sum(e.amount) as amount from e group by 1
  ),
  s as (
    select e.ledger_account_id, sum(e.amount) as amount,
      coalesce(sum(e.amount) filter (where x.kind in (${PAID_KINDS})), 0) as paid,
      coalesce(sum(e.amount) filter (where x.kind in ('trial_grant', 'expiry')), 0) as granted
    from e
    join transfer x on x.id = e.transfer_id
    group by 1
  )
  select
    (select count(*) from e) as entries,
    (select coalesce(array_agg(transfer_id), '{}') from t) as "transferIds",
    (
      select coalesce(
        json_agg(json_build_array(ledger_account_id::text, amount::text, paid::text, granted::text)), '[]')
      from s
    ) as sums,
    (
      select count(*) from t
      -- Its other entries may stand in another page; it is counted where its first one stands.
      where amount <> 0
        and (select sum(x.amount) from entry x where x.transfer_id = t.transfer_id) <> 0
        and not exists (select from entry x where x.transfer_id = t.transfer_id and x.id <= $1)
    ) as transfers_that_do_not_sum_to_zero`

/**
 * That a row of table payment was credited once and taken back of as often as it says, and that both come to
 * what it says. Found by the keys of its transfers.
 */
const IS_POSTED = `(
  select count(*) filter (where m.move = 'credit' and t.kind = 'top_up') = 1
    and count(*) filter (where m.move <> 'credit') = payment.moves
    and coalesce(sum(e.amount) filter (where m.move = 'credit'), 0) = payment.credited_micros
    and coalesce(sum(e.amount) filter (where m.move <> 'credit'), 0) = -payment.reversed_micros
    and coalesce(bool_and(a.account_id = payment.account_id), true)
  from (
    select 'credit' as move
    union all
    select n::text from generate_series(1, payment.moves + 1) n
  ) m
  join transfer t on t.idempotency_key = 'payment:' || payment.id || ':' || m.move
  left join (
    entry e
    join ledger_account a on a.id = e.ledger_account_id and a.kind = 'customer'
  ) on e.transfer_id = t.id)`

/** Transfers: those of ids $1, or the $2 after id $1. */
const transfersSql = (which: string) => `
  with t as materialized (
    select id, kind, video_id, idempotency_key, created_at from transfer where ${which}
  ),
  r as (
    select t.id
    from t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id
    where t.kind in ('refund', 'reversal')
    group by t.id
    having bool_or(a.kind not in ('customer', 'funding'))
      or sum(e.amount) filter (where a.kind = 'customer') >= 0
  ),
  x as (
    select t.id
    from t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id
    left join credit c on c.id = a.credit_id
    where t.kind = 'expiry'
    group by t.id
    -- off credit whose date has passed, and to where credit of its kind goes
    having count(*) <> 2
      or count(*) filter (where e.amount < 0 and c.expires_at <= t.created_at) <> 1
      or bool_or(a.account_id is null and a.kind <> 'promotion') <> bool_or(c.kind = 'paid')
      or bool_or(a.account_id is null and a.kind not in ('promotion', 'expired'))
  ),
  -- what statements say of each transfer, beside its entries
  own as (
    select t.id, a.account_id, t.kind, sum(e.amount) as amount, t.created_at
    from t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id
    where t.kind not in ('hold', 'settle', 'rebate') and a.account_id is not null
    group by t.id, a.account_id, t.kind, t.created_at
  ),
  p as (
    select distinct split_part(idempotency_key, ':', 2) as id
    from t
    where idempotency_key like 'payment:%'
  )
  select
    (select count(*) from t) as count,
    (select max(id) from t) as last,
    (
      select coalesce(array_agg(v.id), '{}') from video v
      where v.id in (select video_id from t) and v.ended_at is null
    ) as "unendedIds",
    (select count(*) from r) as refunds_of_other_than_paid_money,
    (select count(*) from x) as expiries_of_other_than_credit_past_its_date,
    (
      select count(*)
      from own
      full join (select x.* from account_transfer x where x.transfer_id in (select id from t)) x
        on x.transfer_id = own.id
      where (own.account_id, own.kind, own.amount, own.created_at)
        is distinct from (x.account_id, x.kind, x.amount_micros, x.created_at)
    ) as statement_lines_that_differ_from_their_transfers,
    (
      select count(*) from p
      where not exists (select from payment where payment.id = p.id and ${IS_POSTED})
    ) as payments_that_differ_from_their_transfers,
    (
      select count(*) from t
      where video_id is not null and not exists (select from video v where v.id = t.video_id)
    ) as transfers_of_unknown_videos`
export const TRANSFERS_BY_ID_SQL = transfersSql('id = any ($1::text[])')
export const TRANSFERS_AFTER_SQL = transfersSql('id > $1 order by id limit $2')

/** What the transfers of videos `v` moved. */
const MOVED_SQL = `
  -- by transfer and ledger account; one row without an account of a transfer that moved nothing
  x as materialized (
    select t.id, t.video_id, t.kind, a.id as account, a.kind as account_kind,
      coalesce(sum(e.amount), 0) as amount
    from v
    join transfer t on t.video_id = v.id
    left join entry e on e.transfer_id = t.id
    left join ledger_account a on a.id = e.ledger_account_id
    group by t.id, a.id
  ),
  m as (
    select id, video_id, kind,
      coalesce(sum(amount) filter (where account_kind = 'hold'), 0) as held,
      coalesce(sum(amount) filter (where account_kind = 'revenue'), 0) as charged
    from x
    group by id, video_id, kind
  ),
  -- what comes back comes back to where it was taken from, and is no more than was taken there
  elsewhere as (
    select video_id
    from x
    where account_kind in ('customer', 'trial')
    group by video_id, account
    having sum(amount) > 0 or bool_or(amount > 0 and kind = 'hold' or amount < 0 and kind <> 'hold')
  )`

/** Videos with their transfers. */
const videosSql = (which: string) => `
  with v as materialized (
    select id, status, hold_micros, charged_micros, rebate_micros, promise, deliver_by, ended_at,
      -- what it costs when its promise is missed
      ceil(video_tokens::numeric * charged_steps * price_micros_per_million * missed_multiplier_bps / 1e10)
        as late_micros
    from video where ${which}
  ),${MOVED_SQL},
  s as (
    select v.*,
      count(m.id) filter (where m.kind = 'hold') as holds,
      count(m.id) filter (where m.kind = 'settle') as settles,
      count(m.id) filter (where m.kind = 'rebate') as rebates,
      coalesce(sum(m.held) filter (where m.kind = 'hold'), 0) as held,
      coalesce(sum(m.held) filter (where m.kind = 'settle'), 0) as returned,
      coalesce(sum(m.charged) filter (where m.kind = 'settle'), 0) as charged,
      coalesce(-sum(m.charged) filter (where m.kind = 'rebate'), 0) as rebated
    from v
    left join m on m.video_id = v.id
    group by v.id, v.status, v.hold_micros, v.charged_micros, v.rebate_micros, v.promise, v.deliver_by,
      v.ended_at, v.late_micros
  )
  select count(*) as count,
    (select array[id, ended_at::text] from v order by ended_at desc, id desc limit 1) as "lastEnded",
    max(id) as last,
    count(*) filter (where holds <> 1) as videos_without_exactly_one_hold,
    count(*) filter (where held <> hold_micros) as holds_that_differ_from_their_video,
    count(*) filter (where ended_at is not null and settles <> 1)
      as ended_videos_without_exactly_one_settle,
    count(*) filter (where ended_at is null and settles > 0) as unended_videos_with_a_settle,
    count(*) filter (where settles > 0 and returned <> -held) as settles_that_differ_from_their_hold,
    count(*) filter (where settles > 0 and charged - rebated <> charged_micros)
      as charges_that_differ_from_revenue,
    count(*) filter (where rebates > 1 or rebated <> rebate_micros or rebated < 0)
      as rebates_that_differ_from_their_video,
    count(*) filter (where rebated > charged) as rebates_of_more_than_was_charged,
    count(*) filter (where rebates > 0 and promise is distinct from 'missed')
      as rebates_without_a_missed_promise,
    count(*) filter (
      where ended_at is not null and promise = 'missed' and rebated <> greatest(0, charged - late_micros)
    ) as missed_promises_without_their_rebate,
    count(*) filter (where promise = 'kept' and (ended_at > deliver_by) is not false)
      as late_videos_whose_promise_is_kept,
    count(*) filter (where id in (select video_id from elsewhere)) as holds_returned_elsewhere,
    count(*) filter (where status = 'failed' and charged_micros <> 0) as failed_videos_that_were_charged
  from s`
/** Of ids $1. */
export const VIDEOS_BY_ID_SQL = videosSql('id = any ($1::text[])')
/** The $2 after id $1. */
export const VIDEOS_AFTER_SQL = videosSql('id > $1 order by id limit $2')
/** The $3 that ended after the one with end $1 and id $2. */
export const VIDEOS_ENDED_AFTER_SQL = videosSql(
  'ended_at >= $1 and (ended_at, id) > ($1, $2) order by ended_at, id limit $3',
)

/**
 * Everybody's money at one moment: proven entries and those after $1, the last of them, beside balances and
 * usage sums. Of what came, what expired is gone as if it had never come.
 */
export const MONEY_SQL = `
  with unproven as (
    select e.ledger_account_id, sum(e.amount) as amount,
      coalesce(sum(e.amount) filter (where t.kind in (${PAID_KINDS})), 0) as paid,
      coalesce(sum(e.amount) filter (where t.kind in ('trial_grant', 'expiry')), 0) as granted
    from entry e
    join transfer t on t.id = e.transfer_id
    where e.id > $1
    group by 1
  ),
  total as materialized (
    select a.kind, a.account_id, a.balance,
      coalesce(p.amount, 0) + coalesce(u.amount, 0) as amount,
      coalesce(p.paid, 0) + coalesce(u.paid, 0) as paid,
      coalesce(p.granted, 0) + coalesce(u.granted, 0) as granted
    from ledger_account a
    left join proven_sum p on p.ledger_account_id = a.id
    left join unproven u on u.ledger_account_id = a.id
  ),
  -- what came to an account and is neither there nor held was charged
  charged as (
    select account_id, sum(paid + granted - balance) as micros
    from total
    where account_id is not null
    group by 1
  ),
  used as (
    select account_id, sum(charged_micros) as micros from usage_sum where span = 'ever' group by 1
  )
  select
    (
      select count(*) from total where balance is not null and balance <> amount
    ) as balances_that_differ_from_their_entries,
    (select count(*) from total where balance < 0) as negative_balances,
    (
      select count(*) from credit c
      left join ledger_account a on a.credit_id = c.id
      where (a.balance > 0, a.account_id, a.kind)
        is distinct from (c.is_open, c.account_id, case c.kind when 'paid' then 'customer' else 'trial' end)
    ) as credits_that_differ_from_their_balance,
    (
      select count(*) from total where kind = 'customer' and paid < 0
    ) as accounts_refunded_more_than_they_paid,
    (
      select count(*) from charged left join used using (account_id)
      where charged.micros <> coalesce(used.micros, 0)
    ) as usage_that_differs_from_the_ledger`

/** Payments of which the ledger knows nothing; what it knows is compared transfer by transfer. */
export const PAYMENTS_SQL = `
  select count(*) as credited_payments_without_a_transfer
  from payment
  where status = 'credited'
    and not exists (select from transfer t where t.idempotency_key = 'payment:' || payment.id || ':credit')`

/** What statements add up, beside what it was added up from. */
export const STATEMENTS_SQL = `
  select
    (
      select count(*)
      from (
        select account_id, date_trunc('month', starts_at, 'UTC') as month, model, sum(tokens) as tokens,
          sum(charged_micros) as micros
        from usage_sum
        where span = 'day'
        group by 1, 2, 3
        having sum(tokens) > 0
      ) u
      full join (
        select account_id, month, model, sum(tokens) as tokens, sum(charged_micros) as micros
        from charge_month
        group by 1, 2, 3
        having sum(tokens) > 0
      ) c using (account_id, month, model)
      where (u.tokens, u.micros) is distinct from (c.tokens, c.micros)
    ) as statement_charges_that_differ_from_the_usage,
    (
      select count(*)
      from (
        select account_id, date_trunc('month', created_at, 'UTC') as month, kind, count(*) as transfers,
          sum(amount_micros) as micros
        from account_transfer
        group by 1, 2, 3
      ) t
      full join transfer_month m using (account_id, month, kind)
      where (t.transfers, t.micros) is distinct from (m.transfers, m.amount_micros)
    ) as statement_sums_that_differ_from_their_lines,
    (
      select count(*)
      from (select account_id, sum(balance) as micros from ledger_account group by 1) b
      left join (select account_id, sum(amount_micros) as micros from transfer_month group by 1) t
        using (account_id)
      left join (select account_id, sum(charged_micros) as micros from charge_month group by 1) c
        using (account_id)
      where b.account_id is not null
        and b.micros <> coalesce(t.micros, 0) - coalesce(c.micros, 0)
    ) as statements_that_differ_from_the_balances`

/** What grows with the queue: holds, budgets and counts, beside the videos that have not ended. */
export const UNENDED_SQL = `
  with open as materialized (
    select account_id, key_id, currency, budget_starts_at, sum(hold_micros) as held,
      sum(video_tokens * num_steps) as tokens
    from video
    where status in ('queued', 'dispatched', 'running')
    group by 1, 2, 3, 4
  )
  select
    (
      select count(*) from (
        select a.id
        from ledger_account a
        left join open o on o.account_id = a.account_id and o.currency = a.currency
        where a.kind = 'hold'
        group by a.id
        having a.balance <> coalesce(sum(o.held), 0)
      ) broken
    ) as hold_balances_that_differ_from_open_holds,
    (
      select count(*) from key_budget b
      where b.used_tokens
        <> coalesce((
          select sum(u.tokens) from usage_sum u
          where u.key_id = b.key_id and u.span = 'budget' and u.starts_at = b.starts_at), 0)
        + coalesce((
          select sum(o.tokens) from open o
          where o.key_id = b.key_id and o.budget_starts_at = b.starts_at), 0)
    ) as budgets_that_differ_from_their_videos,
    (select count(*) from queue_count_drift) as queue_counts_that_differ_from_their_videos`

/** The hour of the first video that ended from $1 on and before $2; null when there is none. */
export const NEXT_HOUR_SQL = `
  select date_trunc('hour', min(ended_at), 'UTC')::text as at
  from video
  where ended_at >= $1::timestamptz and ended_at < $2`

/** The usage sums of hour $1 beside the videos that ended in it. */
export const HOUR_SQL = `
  select count(*) as usage_sums_that_differ_from_their_videos
  from (
    select key_id, model, count(*) as videos, sum(video_tokens * charged_steps) as tokens,
      sum(charged_micros) as micros
    from video
    where ended_at >= $1::timestamptz and ended_at < $1::timestamptz + interval '1 hour'
    group by 1, 2
  ) v
  full join (
    select key_id, model, completed + failed + cancelled as videos, tokens, charged_micros as micros
    from usage_sum
    where span = 'hour' and starts_at = $1::timestamptz and completed + failed + cancelled > 0
  ) u using (key_id, model)
  where (v.videos, v.tokens, v.micros) is distinct from (u.videos, u.tokens, u.micros)`

/** The usage sums of days and of ever beside those of hours. */
export const SPANS_SQL = `
  select count(*) as usage_sums_that_differ_from_their_hours
  from (
    select u.key_id, u.model, s.span, s.starts_at, sum(u.completed + u.failed + u.cancelled) as videos,
      sum(u.tokens) as tokens, sum(u.charged_micros) as micros
    from usage_sum u
    cross join lateral (values
      ('day', date_trunc('day', u.starts_at, 'UTC')), ('ever', '-infinity'::timestamptz)
    ) s(span, starts_at)
    where u.span = 'hour'
    group by 1, 2, 3, 4
  ) h
  full join (
    select key_id, model, span, starts_at, completed + failed + cancelled as videos, tokens,
      charged_micros as micros
    from usage_sum
    where span in ('day', 'ever')
  ) u using (key_id, model, span, starts_at)
  where (h.videos, h.tokens, h.micros) is distinct from (u.videos, u.tokens, u.micros)`

/** The account after $1 that has or had credit with an expiry date; null when there is none. */
export const NEXT_CREDITED_SQL = `select min(account_id) as next from credit where account_id > $1`

/** What account $1 can spend, with and without an expiry date, in the order in which it is spent. */
export const CREDIT_SOURCES_SQL = `
  select a.id, c.granted_micros as "grantedMicros", c.expiries, c.expired_micros as "expiredMicros",
    (extract(epoch from coalesce(c.expires_at, 'infinity')) * 1000000)::float8 as "expiresAtMicros"
  from ledger_account a
  left join credit c on c.id = a.credit_id
  where a.account_id = $1 and a.kind in ('customer', 'trial')
  order by c.expires_at, a.kind = 'customer', c.id`

/**
 * Opens a cursor over the entries of what account $1 can spend. They were numbered in the order in which they
 * count, since the account's money was locked. Read and sorted once: no index has them in this order, and one
 * would cost each hold an entry more.
 */
export const CREDIT_ENTRIES_SQL = `
  declare credit_entries no scroll cursor for
  with moved as materialized (
    select e.id, e.ledger_account_id, e.amount, t.kind, t.created_at
    from ledger_account a
    join entry e on e.ledger_account_id = a.id
    join transfer t on t.id = e.transfer_id
    where a.account_id = $1 and a.kind in ('customer', 'trial')
  )
  select ledger_account_id as "sourceId", amount as "amountMicros", kind,
    (extract(epoch from created_at) * 1000000)::float8 as "atMicros"
  from moved
  order by id`
