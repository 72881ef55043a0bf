-- What the gate knows: who is there to work, how fast, and the virtual time of start-time fair queueing.
-- Up Migration

-- A worker as its last heartbeat declared it.
create table worker (
  id text primary key,
  key_id text not null references api_key,
  boot text not null,
  pool text not null,
  slots integer not null check (slots >= 0),
  device text not null,
  devices_per_slot integer not null check (devices_per_slot > 0),
  vram_bytes bigint not null,
  models text[] not null,
  modes text[] not null default '{t2v,i2v}',
  frames_max integer not null,
  pixels_max integer not null,
  -- devices a sequence is split over: 512 + video tokens must be a multiple of it
  sequence_devices integer not null default 1 check (sequence_devices > 0),
  cost_per_hour_micros bigint,
  draining boolean not null,
  heartbeat_at timestamptz not null
);

-- Workers that take videos: they have slots, are not draining, and were heard of within the lease. Plain SQL,
-- so that it becomes part of the statement that uses it.
create function living_worker(lease_ms integer) returns setof worker language sql stable as $$
  select * from worker
  where slots > 0 and not draining and heartbeat_at > now() - lease_ms * interval '1 millisecond'
$$;

-- Virtual time is GPU milliseconds divided by weight; a tier's clock is the start tag of what was dispatched
-- in it last.
create table gate_clock (
  service_tier text primary key check (service_tier in ('priority', 'standard', 'flex')),
  virtual_ms double precision not null default 0
);
insert into gate_clock (service_tier) values ('priority'), ('standard'), ('flex');

create table gate_tag (
  service_tier text not null references gate_clock,
  account_id text not null references account,
  finish_ms double precision not null,
  primary key (service_tier, account_id)
);
-- Tags ahead of their clock are the only ones that matter.
create index gate_tag_ahead on gate_tag (service_tier, finish_ms);

-- Measured pace of a pool for one capability and shape: running means over the last few attempts.
create table pace (
  pool text not null,
  capability text not null,
  width integer not null,
  height integer not null,
  num_frames integer not null,
  step_ms double precision not null check (step_ms >= 0),
  overhead_ms double precision not null check (overhead_ms >= 0),
  samples integer not null check (samples > 0),
  primary key (pool, capability, width, height, num_frames)
);
