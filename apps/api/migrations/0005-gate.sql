-- What the gate knows: who is there to work, how fast, and the virtual time of start-time fair queueing.
-- Up Migration
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
  frames_max integer not null,
  pixels_max integer not null,
  cost_per_hour_micros bigint,
  draining boolean not null,
  heartbeat_at timestamptz not null
);

-- Virtual time is GPU milliseconds divided by weight; a lane's clock is the start tag of what it dispatched last.
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

create index gate_tag_ahead on gate_tag (service_tier, finish_ms);

-- The gate's lines: videos of one account that ask for the same of a pool. Shape comes before account, so that a pool jumps
-- over what it cannot make as a whole instead of walking through it.
create index video_line_of_shape on video (model, service_tier, width, height, num_frames, account_id, id) where status = 'queued';

-- Measured speed of a pool for one shape; running means over the last few attempts.
create table prediction (
  pool text not null,
  model text not null,
  width integer not null,
  height integer not null,
  num_frames integer not null,
  step_ms double precision not null check (step_ms >= 0),
  overhead_ms double precision not null check (overhead_ms >= 0),
  samples integer not null check (samples > 0),
  primary key (pool, model, width, height, num_frames)
);
