-- What forecasts need to be right: how long a video takes to be stored once its device is free, what was
-- expected of each video of the sample, and how the newest of them came out.
-- Up Migration

-- From the moment the device is free until the video is stored; null until it was measured.
alter table pace add column upload_ms double precision check (upload_ms >= 0 and upload_ms <= 86400000);

-- Before any correction by earlier errors: where it would be made, and when its device would begin, be free,
-- and the video be stored. Null in what a program before this one writes.
alter table eta_given
  add column pool text,
  add column start_ms double precision check (start_ms >= 0),
  add column free_ms double precision check (free_ms >= start_ms),
  add column stored_ms double precision check (stored_ms >= free_ms);

-- How the newest videos of the sample came out, by the pool that was expected: so many of each pool are kept.
-- No foreign key: it outlives the video's files, and nobody follows it.
create table eta_outcome (
  id bigint generated always as identity primary key,
  pool text not null,
  service_tier text not null,
  start_ms double precision not null check (start_ms >= 0),
  free_ms double precision not null check (free_ms >= start_ms),
  stored_ms double precision not null check (stored_ms >= free_ms),
  p50_ms double precision not null check (p50_ms >= 0),
  p90_ms double precision not null check (p90_ms >= p50_ms),
  -- what came, from the same moment: when its device began, was free, and the video was stored
  started_ms double precision not null,
  freed_ms double precision not null,
  took_ms double precision not null
);
create index eta_outcome_of_pool on eta_outcome (pool, id);
