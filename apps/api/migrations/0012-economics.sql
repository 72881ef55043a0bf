-- What GPUs cost and what they made: who was there, how much of it was used, and what came of it, hour by hour.
-- Up Migration

-- The time a worker was there with one offer. Each heartbeat raises `until`; a silence longer than the lease is a gap, and the
-- next heartbeat begins another row. The half-empty pages keep the raises where they are.
create table worker_shift (
  id bigint generated always as identity primary key,
  worker_id text not null references worker,
  boot text not null,
  pool text not null,
  slots integer not null check (slots >= 0),
  devices_per_slot integer not null check (devices_per_slot > 0),
  -- of a slot; null = the operator has not said
  cost_per_hour_micros bigint check (cost_per_hour_micros >= 0),
  began_at timestamptz not null default now(),
  until timestamptz not null default now(),
  check (until >= began_at)
) with (fillfactor = 50);
create index worker_shift_of_worker on worker_shift (worker_id, id);

-- GPUs the attempt's slot has, as its worker declared when it took it.
alter table attempt add column devices integer check (devices > 0);
update attempt a set devices = w.devices_per_slot from worker w where w.id = a.worker_id;

-- Work is counted when its video ends, as the ledger charges then.
create index video_ended on video (ended_at) where ended_at is not null;
create index attempt_ended on attempt (ended_at) where ended_at is not null;

-- What a client was told when its video was queued, for a sample of videos; gone once the hour they ended in is closed.
create table eta_given (
  video_id text primary key references video,
  given_at timestamptz not null default now(),
  p50_ms double precision not null check (p50_ms >= 0),
  p90_ms double precision not null check (p90_ms >= p50_ms)
);

-- Hours that are over, summed once: nothing that belongs to them can still come. '' = videos no pool ever took.
create table production_hour (
  hour timestamptz not null check (hour = date_trunc('hour', hour, 'UTC')),
  pool text not null,
  fact text not null,
  value numeric not null check (value > 0),
  primary key (hour, pool, fact)
);
create table production_closed (
  singleton boolean primary key default true check (singleton),
  -- hours before this one are in production_hour
  until timestamptz not null
);
insert into production_closed (until) values ('-infinity');
revoke update, delete, truncate on production_hour from sluice_app;

-- When an attempt's device was free again: as it said; while it runs, or when its worker was lost, when it was last heard of.
create function attempt_over(a attempt) returns timestamptz language sql immutable as $$
  select coalesce(a.released_at, case when a.outcome is null or a.outcome = 'lost' then a.heartbeat_at else a.ended_at end)
$$;
