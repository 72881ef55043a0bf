-- Payments that a provider reports, what is taken back of them, and what accounts' money did in each month.
-- Up Migration

-- All at once, as in 0028: whoever holds one of these after a minute ends the migration.
do $$
declare
  usual constant text := current_setting('lock_timeout');
begin
  for try in 1..100 loop
    begin
      set local lock_timeout = '500ms';
      lock table account, transfer, entry, ledger_account, video in access exclusive mode;
      perform set_config('lock_timeout', usual, true);
      return;
    exception when lock_not_available or deadlock_detected then
      if try = 100 then raise; end if;
      perform pg_sleep(0.1);
    end;
  end loop;
end
$$;

-- `reversal`: a payment was refunded or disputed, and what it credited is taken back; `reinstatement`: that
-- came to nothing, and it is there again.
alter table transfer drop constraint transfer_kind_check;
alter table transfer add constraint transfer_kind_check check (
  kind in (
    'hold', 'settle', 'rebate', 'top_up', 'trial_grant', 'refund', 'expiry', 'reversal', 'reinstatement'));

-- What refunds and disputes name a payment by. Whoever writes of either locks the row first, so that neither
-- misses the other; it may be of a payment that is not known yet, or of none of ours.
create table payment_intent (
  provider text not null check (provider in ('stripe')),
  intent text not null,
  primary key (provider, intent)
);
revoke delete on payment_intent from sluice_app;

create table payment (
  id text primary key,
  provider text not null check (provider in ('stripe')),
  -- the checkout it comes from, and what its refunds and disputes name
  session text not null,
  intent text,
  account_id text references account,
  -- whom the checkout said it is for
  reference text check (length(reference) <= 200),
  status text not null check (status in ('pending', 'credited', 'unassigned', 'dismissed', 'failed')),
  -- why nobody was credited
  problem text check (problem in ('no_account', 'unknown_account', 'other_currency', 'subscription')),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  -- micro-units of its currency: what was paid, and of that what is no tax and no shipping
  paid_micros bigint not null check (paid_micros > 0),
  net_micros bigint not null check (net_micros between 0 and paid_micros),
  -- micro-units of the ledger's: credited, of that taken back by now, ...
  credited_micros bigint not null default 0 check (credited_micros >= 0),
  reversed_micros bigint not null default 0 check (reversed_micros >= 0),
  -- ... taken off by the operator's refund, so that the provider's takes nothing more, ...
  refunded_micros bigint not null default 0 check (refunded_micros >= 0),
  -- ... to be taken back once it is there, and never, because the operator said so
  owed_micros bigint not null default 0 check (owed_micros >= 0),
  waived_micros bigint not null default 0 check (waived_micros >= 0),
  -- reversals and reinstatements that were posted
  moves integer not null default 0,
  is_live boolean not null,
  created_at timestamptz not null default now(),
  credited_at timestamptz,
  unique (provider, session),
  foreign key (provider, intent) references payment_intent,
  constraint payment_credited_has_an_account check (
    (status = 'credited') = (credited_at is not null) and (status <> 'credited' or account_id is not null)),
  constraint payment_uncredited_moves_nothing check (status = 'credited' or credited_micros = 0),
  constraint payment_takes_back_what_it_credited check (
    reversed_micros + refunded_micros + owed_micros + waived_micros <= credited_micros)
);
create unique index payment_of_intent on payment (provider, intent) where intent is not null;
create index payment_of_account on payment (account_id, id) where account_id is not null;
create index payment_by_status on payment (status, id);
create index payment_owed on payment (account_id) where owed_micros > 0;

-- Refunds and disputes. The newest word of the provider counts.
create table payment_reversal (
  provider text not null,
  reversal text not null,
  intent text not null,
  cause text not null check (cause in ('refund', 'dispute')),
  currency text not null,
  amount_micros bigint not null check (amount_micros >= 0),
  -- false: it failed, or was won
  stands boolean not null,
  said_at timestamptz not null,
  primary key (provider, reversal),
  foreign key (provider, intent) references payment_intent
);
create index payment_reversal_of_intent on payment_reversal (provider, intent);

-- What the operator's refunds took off, by the payment that it is to be paid back on.
create table payment_refund (
  transfer_id text not null references transfer,
  payment_id text not null references payment,
  amount_micros bigint not null check (amount_micros > 0),
  primary key (transfer_id, payment_id)
);
revoke update, delete on payment_refund from sluice_app;

-- What was charged to an account for videos that ended in a month (UTC), by model and tier.
create table charge_month (
  account_id text not null references account,
  month timestamptz not null check (month = date_trunc('month', month, 'UTC')),
  model text not null,
  service_tier text not null,
  -- that generated tokens are charged for
  videos bigint not null check (videos >= 0),
  tokens bigint not null check (tokens >= 0),
  charged_micros bigint not null check (charged_micros >= 0),
  -- what was given back of it, so that charged_micros is what was left
  rebate_micros bigint not null check (rebate_micros >= 0),
  rebates bigint not null check (rebates >= 0),
  primary key (account_id, month, model, service_tier)
) with (fillfactor = 80);

-- Every transfer that changed what an account has, and the same by month and kind. Charges and what is given
-- back of them stand in charge_month, and holds move money within the account.
create table account_transfer (
  transfer_id text primary key references transfer,
  account_id text not null references account,
  kind text not null,
  amount_micros bigint not null,
  created_at timestamptz not null
);
create index account_transfer_by_time on account_transfer (account_id, created_at);
create table transfer_month (
  account_id text not null references account,
  month timestamptz not null check (month = date_trunc('month', month, 'UTC')),
  kind text not null,
  transfers bigint not null,
  amount_micros bigint not null,
  primary key (account_id, month, kind)
) with (fillfactor = 80);

-- What a video that has ended adds to its month.
create function charge_of(v video) returns setof charge_month language sql stable as $$
  select v.account_id, date_trunc('month', v.ended_at, 'UTC'), v.model, v.service_tier, 1::bigint,
    v.video_tokens * v.charged_steps, v.charged_micros, v.rebate_micros,
    (v.rebate_micros > 0)::int::bigint
  where v.charged_steps > 0
$$;

create or replace function video_end_is_summed() returns trigger language plpgsql as $$
begin
  -- Whoever mends the end of a video by hand mends the sums with it.
  if old.ended_at is not null then
    update usage_sum u set
      completed = u.completed - o.completed, failed = u.failed - o.failed,
      cancelled = u.cancelled - o.cancelled, tokens = u.tokens - o.tokens,
      charged_micros = u.charged_micros - o.charged_micros
    from usage_of(old) o
    where u.key_id = o.key_id and u.span = o.span and u.starts_at = o.starts_at and u.model = o.model;
    update charge_month m set
      videos = m.videos - o.videos, tokens = m.tokens - o.tokens,
      charged_micros = m.charged_micros - o.charged_micros,
      rebate_micros = m.rebate_micros - o.rebate_micros, rebates = m.rebates - o.rebates
    from charge_of(old) o
    where m.account_id = o.account_id and m.month = o.month and m.model = o.model
      and m.service_tier = o.service_tier;
  end if;
  if new.ended_at is not null then
    insert into usage_sum as u select * from usage_of(new)
    on conflict (key_id, span, starts_at, model) do update set
      completed = u.completed + excluded.completed, failed = u.failed + excluded.failed,
      cancelled = u.cancelled + excluded.cancelled, tokens = u.tokens + excluded.tokens,
      charged_micros = u.charged_micros + excluded.charged_micros;
    insert into charge_month as m select * from charge_of(new)
    on conflict (account_id, month, model, service_tier) do update set
      videos = m.videos + excluded.videos, tokens = m.tokens + excluded.tokens,
      charged_micros = m.charged_micros + excluded.charged_micros,
      rebate_micros = m.rebate_micros + excluded.rebate_micros, rebates = m.rebates + excluded.rebates;
  end if;
  if old.ended_at is null then
    insert into uncounted_video values (new.id);
  end if;
  return null;
end
$$;

create function transfer_is_summed() returns trigger language plpgsql as $$
begin
  with line as (
    insert into account_transfer
    select new.id, a.account_id, new.kind, sum(e.amount), new.created_at
    from entry e
    join ledger_account a on a.id = e.ledger_account_id
    where e.transfer_id = new.id and a.account_id is not null
    group by a.account_id
    returning account_id, kind, amount_micros, created_at
  )
  insert into transfer_month as m
  select account_id, date_trunc('month', created_at, 'UTC'), kind, 1, amount_micros from line
  on conflict (account_id, month, kind) do update set
    transfers = m.transfers + 1, amount_micros = m.amount_micros + excluded.amount_micros;
  return null;
end
$$;
-- At the commit, when its entries are there; the transaction has locked the account's money, so these rows
-- are waited for by nobody. What videos move never comes here.
create constraint trigger transfer_summed after insert on transfer
  deferrable initially deferred for each row
  when (new.kind not in ('hold', 'settle', 'rebate')) execute function transfer_is_summed();

insert into charge_month
  select account_id, date_trunc('month', ended_at, 'UTC'), model, service_tier, count(*),
    sum(video_tokens * charged_steps), sum(charged_micros), sum(rebate_micros),
    count(*) filter (where rebate_micros > 0)
  from video
  where ended_at is not null and charged_steps > 0
  group by 1, 2, 3, 4;
insert into account_transfer
  select t.id, a.account_id, t.kind, sum(e.amount), t.created_at
  from transfer t
  join entry e on e.transfer_id = t.id
  join ledger_account a on a.id = e.ledger_account_id
  where t.kind not in ('hold', 'settle', 'rebate') and a.account_id is not null
  group by t.id, a.account_id;
insert into transfer_month
  select account_id, date_trunc('month', created_at, 'UTC'), kind, count(*), sum(amount_micros)
  from account_transfer
  group by 1, 2, 3;
revoke update, delete on account_transfer from sluice_app;
