-- Tenants, their keys, and what accounts and keys may do and spend.
-- Up Migration
create table installation (
  singleton boolean primary key default true check (singleton),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  created_at timestamptz not null default now()
);

-- Limits: null = no limit.
create table account (
  id text primary key,
  name text not null check (length(name) between 1 and 200),
  -- share of a pool against other accounts, 100 = normal
  weight integer not null default 100 check (weight between 1 and 10000),
  queued_max integer not null default 1000 check (queued_max >= 0),
  -- queued and running together
  unfinished_max integer check (unfinished_max >= 0),
  -- videos that occupy a device at once, over all pools; the others wait queued
  running_max integer check (running_max >= 0),
  last_submitted_at timestamptz,
  created_at timestamptz not null default now()
);

-- A key is 256 random bits, stored as its SHA-256. Admin and worker keys belong to no account.
create table api_key (
  id text primary key,
  account_id text references account,
  name text not null default '' check (length(name) <= 200),
  hash bytea not null unique check (length(hash) = 32),
  prefix text not null,
  scopes text[] not null
    check (cardinality(scopes) > 0 and scopes <@ array['videos:read', 'videos:write', 'admin', 'worker']),
  -- null = every model
  models text[] check (cardinality(models) > 0),
  -- generated tokens that may be submitted per interval; null = no budget
  token_budget bigint check (token_budget >= 0),
  budget_interval text not null default 'none' check (budget_interval in ('day', '30d', 'none')),
  -- null = no limit but the account's
  requests_per_minute integer check (requests_per_minute > 0),
  queued_max integer check (queued_max >= 0),
  running_max integer check (running_max >= 0),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  constraint api_key_of_videos_has_an_account
    check ((account_id is not null) = (scopes && array['videos:read', 'videos:write'])),
  constraint api_key_of_a_worker_is_nothing_else
    check (not ('worker' = any (scopes)) or cardinality(scopes) = 1),
  constraint api_key_limits_are_of_account_keys
    check (
      account_id is not null
      or (
        models is null and token_budget is null and requests_per_minute is null
        and queued_max is null and running_max is null
      )
    )
);
create index api_key_of_account on api_key (account_id, id);

-- When the interval that holds a moment began: the UTC day, or 30 UTC days counted from the day the key was
-- made.
create function budget_interval_start(budget_interval text, key_created_at timestamptz, at timestamptz)
returns timestamptz language sql immutable as $$
  select case budget_interval
    when 'day' then date_trunc('day', at, 'UTC')
    when '30d' then date_bin('30 days', at, date_trunc('day', key_created_at, 'UTC'))
    else date_trunc('day', key_created_at, 'UTC')
  end
$$;

-- What a key has used of one interval's budget: the tokens of the videos submitted in it, less those that
-- ended unused. Submissions change the row in their own transaction; the check stops those that race each
-- other.
create table key_budget (
  key_id text not null references api_key,
  starts_at timestamptz not null,
  budget_tokens bigint not null,
  used_tokens bigint not null,
  primary key (key_id, starts_at),
  constraint key_budget_not_overspent check (used_tokens between 0 and budget_tokens)
) with (fillfactor = 50);

-- Requests per key and minute, shared by all API processes. They may be lost, so the table is unlogged. The
-- columns are those of rate-limiter-flexible; `expire` is epoch milliseconds, in a type that pg reads as a
-- number.
create unlogged table rate_limit (
  key varchar(255) primary key,
  points integer not null default 0,
  expire double precision
) with (fillfactor = 50);
