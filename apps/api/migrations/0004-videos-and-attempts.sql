-- One row per video, one row per attempt at it. Only videos/transition.ts writes video.status.
-- Up Migration
create table video (
  id text primary key,
  account_id text not null references account,
  key_id text not null references api_key,
  status text not null default 'queued'
    check (status in ('queued', 'dispatched', 'running', 'completed', 'failed', 'cancelled')),

  -- what was asked for, frozen at submission
  model text not null,
  service_tier text not null check (service_tier in ('priority', 'standard', 'flex')),
  resolution text not null,
  width integer not null check (width > 0),
  height integer not null check (height > 0),
  num_frames integer not null check (num_frames > 0 and (num_frames - 1) % 4 = 0),
  num_steps integer not null check (num_steps > 0),
  request jsonb not null,
  -- What a worker must serve to make the video: the same as `capabilityOf` in packages/shared.
  capability text not null generated always as (
    case when request ->> 'mode' = 't2i2v' then model || '/t2i2v' else model end
  ) stored,
  metadata jsonb not null default '{}',
  webhook_url text check (length(webhook_url) between 1 and 2048),
  remixed_from_video_id text,
  retried_from_video_id text,
  idempotency_key text check (length(idempotency_key) between 1 and 255),
  request_hash bytea not null,
  -- what the refiner did with the prompt; null = no refinement was asked for
  refinement text check (refinement in ('refined', 'unavailable', 'refused')),
  -- the prompt as it was given, when the request holds the refined one
  original_prompt text,

  -- tokens and money, frozen into the hold
  video_tokens bigint not null check (video_tokens > 0),
  currency text not null,
  price_micros_per_million bigint not null check (price_micros_per_million >= 0),
  multiplier_bps integer not null check (multiplier_bps > 0),
  hold_micros bigint not null check (hold_micros >= 0),
  charged_micros bigint,
  charged_steps integer,
  -- the interval whose budget its tokens were taken from; null = its key had none
  budget_starts_at timestamptz,

  -- where it stands
  fence integer not null default 0 check (fence >= 0),
  pool text,
  step integer not null default 0,
  failures_in_a_row integer not null default 0,
  cancel_requested_at timestamptz,
  cancel_step integer,
  yield_requested_at timestamptz,
  checkpoint_key text,
  checkpoint_step integer,
  output_prefix text,
  error_code text,
  error_message text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  ended_at timestamptz,
  execution_expires_at timestamptz not null,

  -- its files: what is kept in the object store, and for how long
  -- frozen at submission, counted from completion; null = for good
  retention_seconds integer check (retention_seconds > 0),
  expires_at timestamptz,
  files_removed_at timestamptz,
  -- an image it was made from (mode i2v) lies below inputs/<video id>/
  input_kept boolean not null default false,
  deleted_at timestamptz,
  swept_at timestamptz,

  constraint video_charge_within_hold check (charged_micros between 0 and hold_micros),
  constraint video_charged_steps_within_steps check (charged_steps between 0 and num_steps),
  constraint video_charge_is_of_steps check ((charged_micros is null) = (charged_steps is null)),
  constraint video_step_within_steps check (step between 0 and num_steps),
  constraint video_checkpoint_within_steps check (checkpoint_step between 1 and num_steps),
  constraint video_checkpoint_has_a_step check ((checkpoint_key is null) = (checkpoint_step is null)),
  constraint video_in_flight_has_a_pool
    check (status not in ('dispatched', 'running') or (fence > 0 and pool is not null)),
  constraint video_ended_has_an_end
    check ((status in ('completed', 'failed', 'cancelled')) = (ended_at is not null)),
  constraint video_ended_is_charged
    check ((status in ('completed', 'failed', 'cancelled')) = (charged_micros is not null)),
  constraint video_completed_has_output check ((status = 'completed') = (output_prefix is not null)),
  constraint video_not_completed_has_an_error
    check ((status in ('failed', 'cancelled')) = (error_code is not null)),
  constraint video_completed_may_expire check (expires_at is null or status = 'completed'),
  constraint video_refined_keeps_the_original
    check ((original_prompt is not null) = (refinement is not distinct from 'refined'))
) with (fillfactor = 80);

create unique index video_idempotent on video (account_id, idempotency_key) where idempotency_key is not null;
create index video_recent_request on video (key_id, request_hash, created_at);
create index video_of_account on video (account_id, id) where deleted_at is null;

-- Counts what an account has queued, and what one of its keys has.
create index video_queued_of_account on video (account_id, key_id) where status = 'queued';
create index video_in_flight on video (pool) where status in ('dispatched', 'running');
create index video_expiring on video (execution_expires_at)
  where status in ('queued', 'dispatched', 'running');
-- The gate finds the heads in it: a key's videos of one shape and tier stand next to each other in order.
-- Shape comes before key, so that a pool jumps over a shape it cannot make as a whole. Key and not account: a
-- key at its limit holds up no other key, and what is behind its head need not be looked at.
create index video_queued_by_shape_and_key
  on video (capability, service_tier, width, height, num_frames, key_id, id) where status = 'queued';

-- Usage by day, key and model, and what GPUs earned, count a video when it ends: the ledger charges then.
create index video_ended on video (ended_at) where ended_at is not null;
create index video_ended_of_account on video (account_id, ended_at) where ended_at is not null;
create index video_charged_of_key on video (key_id, ended_at) where charged_micros > 0;

-- Ended videos whose leftover bytes (checkpoints, lost attempts, all of a deleted one) have not been removed
-- yet.
create index video_unswept on video (ended_at) where ended_at is not null and swept_at is null;
-- Completed videos whose files are due to be removed.
create index video_files_expiring on video (expires_at)
  where expires_at is not null and files_removed_at is null;
-- Ended videos whose input image is due to be removed.
create index video_input_ending on video (coalesce(deleted_at, expires_at, ended_at))
  where input_kept
    and (deleted_at is not null or expires_at is not null or status in ('failed', 'cancelled'));

-- Deferred, since the hold is posted before its video is inserted.
alter table transfer
  add constraint transfer_of_video foreign key (video_id) references video deferrable initially deferred;

create table attempt (
  video_id text not null references video,
  fence integer not null check (fence > 0),
  pool text not null,
  resumed_from_step integer not null default 0,
  claim text check (claim ~ '^[0-9a-f]{32}$'),
  worker_id text,
  key_id text references api_key,
  slot integer,
  -- GPUs the slot has, as its worker declared when it took the attempt
  devices integer check (devices > 0),
  phase text,
  -- steps of the video that are done, those before this attempt included, as far as this attempt said
  step integer not null default 0,
  -- when the device is expected to be free, by the worker's own pace
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
  constraint attempt_claimed_by_a_worker check ((claim is null) = (worker_id is null)),
  constraint attempt_ended_has_an_outcome check ((outcome is null) = (ended_at is null))
) with (fillfactor = 80);
create index attempt_live on attempt (pool, heartbeat_at) where ended_at is null;
create index attempt_of_worker on attempt (worker_id) where ended_at is null;
create index attempt_ended on attempt (ended_at) where ended_at is not null;

-- Videos that occupy a device or are on their way to one: from the dispatch until the device is given back. A
-- video whose files are uploaded after that occupies none. This is what `running_max` limits and what the
-- gate counts.
create view device_occupant with (security_invoker = true) as
  select
    v.id as video_id, v.fence, v.account_id, v.key_id, v.status, v.service_tier, v.pool,
    v.capability, v.resolution, v.width, v.height, v.num_frames, v.num_steps, v.video_tokens, v.step,
    v.yield_requested_at, v.execution_expires_at, a.free_at
  from video v
  join attempt a on a.video_id = v.id and a.fence = v.fence
  where v.status in ('dispatched', 'running') and a.released_at is null;
revoke insert, update, delete on device_occupant from sluice_app;
