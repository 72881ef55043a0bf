-- Credit with an expiry date, and what is said of a balance that gets low.
-- Up Migration

-- All at once, as in 0028: whoever holds one of these after a minute ends the migration.
do $$
declare
  usual constant text := current_setting('lock_timeout');
begin
  for try in 1..100 loop
    begin
      set local lock_timeout = '500ms';
      lock table account, ledger_account, transfer, webhook_endpoint, webhook_event in access exclusive mode;
      perform set_config('lock_timeout', usual, true);
      return;
    exception when lock_not_available or deadlock_detected then
      if try = 100 then raise; end if;
      perform pg_sleep(0.1);
    end;
  end loop;
end
$$;

-- Money of an account that is there to be spent until a date. What is left of it is the balance of a ledger
-- account of its own, which one transfer filled.
create table credit (
  id text primary key,
  account_id text not null references account,
  kind text not null check (kind in ('paid', 'promotional')),
  granted_micros bigint not null check (granted_micros > 0),
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  -- its balance is not 0: kept by a trigger on ledger_account, for the indexes
  is_open boolean not null default false
);
create index credit_open on credit (account_id, expires_at) where is_open;
create index credit_due on credit (expires_at) where is_open;
create index credit_of_account on credit (account_id, id);
revoke delete on credit from sluice_app;

alter table ledger_account
  add column credit_id text references credit,
  add constraint ledger_account_of_a_credit_can_be_spent
    check (credit_id is null or kind in ('customer', 'trial')),
  drop constraint ledger_account_kind_account_id_currency_key,
  add constraint ledger_account_once unique nulls not distinct (kind, account_id, currency, credit_id),
  drop constraint ledger_account_kind_check,
  -- expired: what customers paid for credit that ran out before they used it
  add constraint ledger_account_kind_check
    check (kind in ('customer', 'trial', 'hold', 'revenue', 'funding', 'promotion', 'expired'));
create unique index ledger_account_of_credit on ledger_account (credit_id) where credit_id is not null;

create function credit_opens_or_closes() returns trigger language plpgsql as $$
begin
  update credit set is_open = new.balance > 0 where id = new.credit_id;
  return null;
end
$$;
create trigger credit_opens_or_closes after update of balance on ledger_account
  for each row
  when (new.credit_id is not null and (old.balance = 0) <> (new.balance = 0))
  execute function credit_opens_or_closes();

alter table account
  -- below it balance.low is sent; null = never
  add column balance_low_micros bigint check (balance_low_micros > 0),
  -- when balance.exhausted was sent; null again once money comes in or back
  add column exhausted_at timestamptz;

create function balance_rises() returns trigger language plpgsql as $$
begin
  update account set exhausted_at = null where id = new.account_id and exhausted_at is not null;
  return null;
end
$$;
create trigger balance_rises after update of balance on ledger_account
  for each row
  when (new.kind <> 'hold' and new.balance > old.balance)
  execute function balance_rises();

alter table transfer
  -- null: written by a program that knows of no credit with an expiry date
  add column knows_expiry boolean,
  drop constraint transfer_kind_check,
  add constraint transfer_kind_check
    check (kind in ('hold', 'settle', 'rebate', 'top_up', 'trial_grant', 'refund', 'expiry'));

-- While a new version is rolled out, an API of the version before ends no video whose hold draws on such
-- credit: it would return nothing of it. The report is sent again until a new API answers it.
create function older_programs_settle_no_dated_credit() returns trigger language plpgsql as $$
begin
  if exists (
    select from transfer t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id
    where t.video_id = new.video_id and t.kind = 'hold' and a.credit_id is not null
  ) then
    raise exception 'the hold of % draws on credit with an expiry date: a newer program settles it',
      new.video_id;
  end if;
  return new;
end
$$;
create trigger older_programs_settle_no_dated_credit before insert on transfer
  for each row
  when (new.kind = 'settle' and new.knows_expiry is null)
  execute function older_programs_settle_no_dated_credit();

alter table webhook_endpoint
  drop constraint webhook_endpoint_events_check,
  add constraint webhook_endpoint_events_check check (
    cardinality(events) > 0
    and events <@ array[
      'video.completed', 'video.failed', 'video.promise_missed', 'balance.low', 'balance.exhausted']);

-- data.id of an event of a balance names the account, data has the rest of what data says.
alter table webhook_event
  add column data jsonb,
  drop constraint webhook_event_type_check,
  add constraint webhook_event_type_check check (
    type in (
      'video.completed', 'video.failed', 'video.promise_missed', 'balance.low', 'balance.exhausted',
      'webhook.test'));
drop index webhook_event_once_per_video;
create unique index webhook_event_once_per_video on webhook_event (subject_id)
  where type in ('video.completed', 'video.failed');
