-- What was asked for in each hour, by account, tier and shape: what `sluice plan --from-service` starts from.
-- Up Migration

-- Submissions of whole hours, summed once when the hour is over. A video's id tells when it was submitted, so
-- an hour is a range of the primary key, and no submission writes here.
create table demand_hour (
  hour timestamptz not null check (hour = date_trunc('hour', hour, 'UTC')),
  account_id text not null,
  service_tier text not null check (service_tier in ('priority', 'standard', 'flex')),
  capability text not null,
  resolution text not null,
  width integer not null check (width > 0),
  height integer not null check (height > 0),
  num_frames integer not null check (num_frames > 0),
  num_steps integer not null check (num_steps > 0),
  video_tokens bigint not null check (video_tokens > 0),
  videos bigint not null check (videos > 0),
  primary key (
    hour, account_id, service_tier, capability, width, height, num_frames, num_steps, resolution,
    video_tokens)
);

-- Until when hours are summed: from the first video on. What is older than four weeks nobody asks for.
create table demand_summed (
  only_row boolean primary key default true check (only_row),
  until timestamptz not null check (until = date_trunc('hour', until, 'UTC'))
);
insert into demand_summed (until) values (date_trunc('hour', greatest(
  now() - interval '28 days', coalesce((select created_at from video order by id limit 1), now())), 'UTC'));
