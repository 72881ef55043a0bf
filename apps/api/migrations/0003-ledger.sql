-- Double entry, append-only. Only customers' own money (customer, trial) and what is held of it are stored
-- balances: one global revenue row would serialise every settlement, so system kinds are summed from entries.
-- Up Migration
create table ledger_account (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('customer', 'trial', 'hold', 'revenue', 'funding', 'promotion')),
  account_id text references account,
  currency text not null,
  balance bigint check (balance >= 0),
  constraint ledger_account_of_a_tenant_or_the_system
    check ((kind in ('customer', 'trial', 'hold')) = (account_id is not null)),
  constraint ledger_account_of_a_tenant_has_a_balance
    check ((balance is not null) = (account_id is not null)),
  unique nulls not distinct (kind, account_id, currency)
);

create table transfer (
  id text primary key,
  idempotency_key text not null unique,
  kind text not null check (kind in ('hold', 'settle', 'top_up', 'trial_grant', 'refund')),
  video_id text,
  created_at timestamptz not null default now(),
  constraint transfer_for_a_video_names_it check ((kind in ('hold', 'settle')) = (video_id is not null))
);
-- The exactly-once charge: a video has one hold and one settle, whatever the number of attempts.
create unique index transfer_once_per_video on transfer (video_id, kind) where video_id is not null;

create table entry (
  id bigint generated always as identity primary key,
  transfer_id text not null references transfer,
  ledger_account_id bigint not null references ledger_account,
  amount bigint not null check (amount <> 0)
);
create index entry_of_transfer on entry (transfer_id);
-- An account's transfers in pages, newest first.
create index entry_of_account_by_transfer on entry (ledger_account_id, transfer_id);

create function entry_sums_to_zero() returns trigger language plpgsql as $$
begin
  if (select sum(amount) from entry where transfer_id = new.transfer_id) <> 0 then
    raise exception 'transfer % does not sum to zero', new.transfer_id
      using errcode = 'check_violation', constraint = 'transfer_sums_to_zero';
  end if;
  return null;
end
$$;
create constraint trigger transfer_sums_to_zero after insert on entry
  deferrable initially deferred for each row execute function entry_sums_to_zero();

create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% on % is refused: the ledger is append-only', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
create trigger transfer_append_only before update or delete or truncate on transfer
  for each statement execute function ledger_is_append_only();
create trigger entry_append_only before update or delete or truncate on entry
  for each statement execute function ledger_is_append_only();
revoke update, delete, truncate on transfer, entry from sluice_app;

-- The price of a video is the newest row that was in effect when the video was submitted.
create table price (
  model text not null,
  resolution text not null check (resolution in ('256px', '768px')),
  currency text not null,
  effective_at timestamptz not null default now(),
  micros_per_million bigint not null check (micros_per_million >= 0),
  primary key (model, resolution, currency, effective_at)
);
-- A price once set is history: a new one takes effect beside it.
revoke update, delete on price from sluice_app;
