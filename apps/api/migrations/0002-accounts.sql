-- Tenants and the keys they come with.
-- Up Migration
create table installation (
  singleton boolean primary key default true check (singleton),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  created_at timestamptz not null default now()
);

create table account (
  id text primary key,
  name text not null check (length(name) between 1 and 200),
  weight integer not null default 100 check (weight between 1 and 10000),
  queued_max integer not null default 1000 check (queued_max >= 0),
  last_submitted_at timestamptz,
  created_at timestamptz not null default now()
);

-- A key is 256 random bits, stored as its SHA-256. Admin and worker keys belong to no account.
create table api_key (
  id text primary key,
  account_id text references account,
  hash bytea not null unique check (length(hash) = 32),
  prefix text not null,
  scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['videos:read', 'videos:write', 'admin', 'worker']),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  check ((account_id is not null) = (scopes && array['videos:read', 'videos:write'])),
  check (not ('worker' = any (scopes)) or cardinality(scopes) = 1)
);
