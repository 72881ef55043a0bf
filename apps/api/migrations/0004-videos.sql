-- One row a video; one row an attempt at it. Only videos/transition.ts writes video.status.
-- Up Migration
create table video (
  id text primary key,
  account_id text not null references account,
  key_id text not null references api_key,
  status text not null default 'queued' check (status in ('queued', 'dispatched', 'running', 'completed', 'failed', 'cancelled')),
  -- what was asked, frozen
  model text not null,
  service_tier text not null check (service_tier in ('priority', 'standard', 'flex')),
  resolution text not null,
  width integer not null check (width > 0),
  height integer not null check (height > 0),
  num_frames integer not null check (num_frames > 0 and (num_frames - 1) % 4 = 0),
  num_steps integer not null check (num_steps > 0),
  request jsonb not null,
  metadata jsonb not null default '{}',
  remixed_from_video_id text,
  idempotency_key text check (length(idempotency_key) between 1 and 255),
  request_hash bytea not null,
  -- tokens and money, frozen into the hold
  video_tokens bigint not null check (video_tokens > 0),
  currency text not null,
  price_micros_per_million bigint not null check (price_micros_per_million >= 0),
  multiplier_bps integer not null check (multiplier_bps > 0),
  hold_micros bigint not null check (hold_micros >= 0),
  charged_micros bigint check (charged_micros between 0 and hold_micros),
  charged_steps integer check (charged_steps between 0 and num_steps),
  -- where it stands
  fence integer not null default 0 check (fence >= 0),
  pool text,
  step integer not null default 0 check (step between 0 and num_steps),
  failures_in_a_row integer not null default 0,
  cancel_requested_at timestamptz,
  cancel_step integer,
  yield_requested_at timestamptz,
  checkpoint_key text,
  checkpoint_step integer check (checkpoint_step between 1 and num_steps),
  output_prefix text,
  error_code text,
  error_message text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  ended_at timestamptz,
  deleted_at timestamptz,
  swept_at timestamptz,
  execution_expires_at timestamptz not null,
  check ((checkpoint_key is null) = (checkpoint_step is null)),
  check ((status in ('completed', 'failed', 'cancelled')) = (ended_at is not null)),
  check ((status in ('completed', 'failed', 'cancelled')) = (charged_micros is not null)),
  check ((charged_micros is null) = (charged_steps is null)),
  check ((status = 'completed') = (output_prefix is not null)),
  check ((status in ('failed', 'cancelled')) = (error_code is not null)),
  check (status not in ('dispatched', 'running') or (fence > 0 and pool is not null))
) with (fillfactor = 80);
create unique index video_idempotent on video (account_id, idempotency_key) where idempotency_key is not null;
create index video_of_account on video (account_id, id) where deleted_at is null;
create index video_queued_of_account on video (account_id) where status = 'queued';
create index video_in_flight on video (pool) where status in ('dispatched', 'running');
create index video_expiring on video (execution_expires_at) where status in ('queued', 'dispatched', 'running');
create index video_recent_request on video (key_id, request_hash, created_at);

-- Ended videos whose leftover bytes (checkpoints, lost attempts, all of a deleted one) have not been removed yet.
create index video_unswept on video (ended_at) where ended_at is not null and swept_at is null;

-- Deferred, since the hold is posted before its video is inserted.
alter table transfer add constraint transfer_of_video foreign key (video_id) references video deferrable initially deferred;

create table attempt (
  video_id text not null references video,
  fence integer not null check (fence > 0),
  pool text not null,
  resumed_from_step integer not null default 0,
  claim text check (claim ~ '^[0-9a-f]{32}$'),
  worker_id text,
  key_id text references api_key,
  slot integer,
  phase text,
  -- steps the video has (in all) as far as this attempt said
  step integer not null default 0,
  -- when the device is expected to be free, from the worker's own pace
  free_at timestamptz,
  heartbeat_at timestamptz not null default now(),
  dispatched_at timestamptz not null default now(),
  taken_at timestamptz,
  started_at timestamptz,
  released_at timestamptz,
  ended_at timestamptz,
  outcome text check (outcome in ('completed', 'failed', 'cancelled', 'yielded', 'lost')),
  error_code text,
  error_message text,
  result jsonb,
  primary key (video_id, fence),
  check ((claim is null) = (worker_id is null)),
  check ((outcome is null) = (ended_at is null))
) with (fillfactor = 80);
create index attempt_live on attempt (pool, heartbeat_at) where ended_at is null;
create index attempt_of_worker on attempt (worker_id) where ended_at is null;
