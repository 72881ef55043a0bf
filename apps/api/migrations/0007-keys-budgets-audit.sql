-- What keys may do and spend, how often they may ask, and who changed what.
-- Up Migration
alter table account
  -- queued and running together; null = no limit but queued_max
  add column unfinished_max integer check (unfinished_max >= 0);

alter table api_key
  add column name text not null default '' check (length(name) <= 200),
  -- null = every model
  add column models text[] check (cardinality(models) > 0),
  -- generated tokens that may be submitted per interval; null = no budget
  add column token_budget bigint check (token_budget >= 0),
  add column budget_interval text not null default 'none' check (budget_interval in ('day', '30d', 'none')),
  -- null = no limit
  add column requests_per_minute integer check (requests_per_minute > 0),
  add constraint api_key_limits_are_of_account_keys
    check (account_id is not null or (models is null and token_budget is null and requests_per_minute is null));
create index api_key_of_account on api_key (account_id, id);

-- When the interval that holds a moment began: the UTC day, or 30 UTC days counted from the day the key was made.
create function budget_interval_start(budget_interval text, key_created_at timestamptz, at timestamptz)
returns timestamptz language sql immutable as $$
  select case budget_interval
    when 'day' then date_trunc('day', at, 'UTC')
    when '30d' then date_bin('30 days', at, date_trunc('day', key_created_at, 'UTC'))
    else date_trunc('day', key_created_at, 'UTC')
  end
$$;

-- What a key has used of one interval's budget: the tokens of its videos submitted then, less what ended unused. The row
-- is changed by the submitting transaction, and the check is what a race can't get past.
create table key_budget (
  key_id text not null references api_key,
  starts_at timestamptz not null,
  budget_tokens bigint not null,
  used_tokens bigint not null,
  primary key (key_id, starts_at),
  constraint key_budget_not_overspent check (used_tokens between 0 and budget_tokens)
) with (fillfactor = 50);

alter table video
  -- the interval whose budget its tokens were taken from; null = its key had none
  add column budget_starts_at timestamptz;
-- Usage by day, key and model is counted when videos end, as the ledger charges then.
create index video_ended_of_account on video (account_id, ended_at) where ended_at is not null;
create index video_charged_of_key on video (key_id, ended_at) where charged_micros > 0;

-- An account's transfers in pages, newest first.
create index entry_of_account_by_transfer on entry (ledger_account_id, transfer_id);
drop index entry_of_account;

-- Requests counted per key and minute, shared by all API processes. May be lost: unlogged. The shape is rate-limiter-flexible's;
-- expire is epoch milliseconds, as a type that is read back as a number.
create unlogged table rate_limit (
  key varchar(255) primary key,
  points integer not null default 0,
  expire double precision
) with (fillfactor = 50);

-- Who changed what, on whom, when.
create table audit (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default now(),
  key_id text not null references api_key,
  action text not null,
  subject text not null,
  details jsonb not null
);
create index audit_of_subject on audit (subject, id);
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% on % is refused: the audit is append-only', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_append_only before update or delete or truncate on audit for each statement execute function audit_is_append_only();
revoke update, delete, truncate on audit from sluice_app;

-- A price once set is history: a new one takes effect beside it.
revoke update, delete on price from sluice_app;
