-- Webhooks: where events go, the outbox they leave from, and every delivery try.
-- Up Migration

-- Signing needs the secret itself, so it is kept as it is. The one before it signs as well until
-- previous_secret_until.
create table webhook_endpoint (
  id text primary key,
  account_id text not null references account,
  name text not null default '' check (length(name) <= 200),
  url text not null check (length(url) between 1 and 2048),
  events text[] not null
    check (cardinality(events) > 0 and events <@ array['video.completed', 'video.failed']),
  secret text not null,
  previous_secret text,
  previous_secret_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  disabled_at timestamptz,
  -- The row of a deleted endpoint stays: a video that ends at that moment must not fail over it.
  deleted_at timestamptz,
  constraint webhook_endpoint_previous_secret_ends
    check ((previous_secret is null) = (previous_secret_until is null))
);
create index webhook_endpoint_of_account on webhook_endpoint (account_id, id) where deleted_at is null;

-- The account's own secret: what deliveries to a video's webhook_url are signed with.
create table webhook_secret (
  account_id text primary key references account,
  secret text not null,
  previous_secret text,
  previous_secret_until timestamptz,
  created_at timestamptz not null default now(),
  constraint webhook_secret_previous_ends
    check ((previous_secret is null) = (previous_secret_until is null))
);

create table webhook_event (
  id text primary key,
  account_id text not null references account,
  type text not null check (type in ('video.completed', 'video.failed', 'webhook.test')),
  -- what data.id names: the video, or the endpoint under test
  subject_id text not null,
  created_at timestamptz not null default now()
);
-- A video ends once, and one event says so.
create unique index webhook_event_once_per_video on webhook_event (subject_id) where type <> 'webhook.test';
create index webhook_event_by_age on webhook_event (created_at);

-- The outbox: one row for each event and place it goes to. `lane` names what it waits behind: its own
-- endpoint alone.
create table webhook_delivery (
  id text primary key,
  event_id text not null references webhook_event on delete cascade,
  account_id text not null references account,
  endpoint_id text references webhook_endpoint,
  url text,
  lane text not null,
  status text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
  -- when it is sent next; while it is being sent, when another process may take it for lost
  due_at timestamptz default now(),
  expires_at timestamptz not null default now() + interval '72 hours',
  attempts integer not null default 0,
  -- since the delivery was last asked for: the wait grows with it
  failures integer not null default 0,
  created_at timestamptz not null default now(),
  constraint webhook_delivery_goes_to_an_endpoint_or_a_url check ((endpoint_id is null) = (url is not null)),
  constraint webhook_delivery_pending_is_due check ((status = 'pending') = (due_at is not null))
) with (fillfactor = 80);
-- The sender jumps through it from endpoint to endpoint, so that a long queue costs no more than a short one.
create index webhook_delivery_line on webhook_delivery (lane, due_at) where status = 'pending';
create index webhook_delivery_due on webhook_delivery (due_at) where status = 'pending';
create index webhook_delivery_of_endpoint on webhook_delivery (endpoint_id, id);
create index webhook_delivery_of_account on webhook_delivery (account_id, id);
create index webhook_delivery_of_event on webhook_delivery (event_id);

create table webhook_attempt (
  delivery_id text not null references webhook_delivery on delete cascade,
  attempt integer not null check (attempt > 0),
  started_at timestamptz not null,
  duration_ms integer not null check (duration_ms >= 0),
  status_code integer,
  error text,
  primary key (delivery_id, attempt)
);
