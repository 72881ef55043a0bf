-- What GPUs cost and what they earned, hour by hour: who was there, and what is summed once an hour is over.
-- Up Migration

-- The time a worker was there and served the same. Each heartbeat raises `until`; a silence longer than the
-- lease is a gap, and the next heartbeat begins another row. Half-empty pages keep the updates in place.
create table worker_shift (
  id bigint generated always as identity primary key,
  worker_id text not null references worker,
  boot text not null,
  pool text not null,
  slots integer not null check (slots >= 0),
  devices_per_slot integer not null check (devices_per_slot > 0),
  -- of one slot; null = the operator has not said
  cost_per_hour_micros bigint check (cost_per_hour_micros >= 0),
  began_at timestamptz not null default now(),
  until timestamptz not null default now(),
  constraint worker_shift_ends_after_it_began check (until >= began_at)
) with (fillfactor = 50);
create index worker_shift_of_worker on worker_shift (worker_id, id);

-- The first forecast of a sample of queued videos, to compare it with what came; removed once the hour a
-- video ended in is closed.
create table eta_given (
  video_id text primary key references video,
  given_at timestamptz not null default now(),
  p50_ms double precision not null check (p50_ms >= 0),
  p90_ms double precision not null,
  constraint eta_given_p90_is_later check (p90_ms >= p50_ms)
);

-- Facts of the hours that are closed: summed once, when nothing can be added to the hour any more. Pool '' =
-- videos that no pool ever took.
create table fact_hour (
  hour timestamptz not null check (hour = date_trunc('hour', hour, 'UTC')),
  pool text not null,
  fact text not null,
  value numeric not null check (value > 0),
  primary key (hour, pool, fact)
);
revoke update, delete, truncate on fact_hour from sluice_app;

create table facts_closed (
  singleton boolean primary key default true check (singleton),
  -- hours before this one are in fact_hour
  until timestamptz not null
);
insert into facts_closed (until) values ('-infinity');

-- When an attempt's device was free again: when the worker said so; while the attempt runs, or when its
-- worker was lost, the last heartbeat that named it.
create function attempt_over(a attempt) returns timestamptz language sql immutable as $$
  select coalesce(
    a.released_at,
    case when a.outcome is null or a.outcome = 'lost' then a.heartbeat_at else a.ended_at end
  )
$$;
