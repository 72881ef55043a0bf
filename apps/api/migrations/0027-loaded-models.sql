-- What each slot has loaded, what a switch of models takes, and since when a video is passed over for that.
-- Up Migration

-- [{"slot": 0, "model": "..."}] of the slots that take videos; a slot that is left out has said nothing.
alter table worker add column loaded jsonb not null default '[]';

-- When the gate first took a less fair video before this one, whose model was loaded. It stays for good: once
-- the bound has gone by since then, nothing is taken before it for that reason any more.
alter table video add column passed_over_at timestamptz;

-- How long a switch of models takes on a pool: a running mean, as in table pace.
create table switch_pace (
  pool text primary key,
  switch_ms double precision not null check (switch_ms >= 0),
  samples integer not null check (samples > 0)
);

create or replace view device_occupant with (security_invoker = true) as
  select
    v.id as video_id, v.fence, v.account_id, v.key_id, v.status, v.service_tier, v.pool,
    v.capability, v.resolution, v.width, v.height, v.num_frames, v.num_steps, v.video_tokens, v.step,
    v.yield_requested_at, v.execution_expires_at, a.free_at, a.started_at, a.dispatched_at, a.taken_at,
    coalesce(a.queue, a.pool) as queue, v.model, a.worker_id, a.slot
  from video v
  join attempt a on a.video_id = v.id and a.fence = v.fence
  where v.status in ('dispatched', 'running') and a.released_at is null;
