-- Flex is a market: what a video may cost at most, when it may begin, and the operator's prices.
--
-- While a program of the version before runs beside this: it dispatches no video that waits for its time or
-- its price (a check refuses that), and charges a flex video what is held for it, which is its maximum. It
-- finds the heads of its queues more slowly, by index video_queued_of_account, for as long as it leads.
-- Up Migration

alter table video
  -- per million tokens, as asked for; null = any price, up to what is held
  add column max_price_micros bigint check (max_price_micros >= 0),
  add column not_before timestamptz,
  -- why a queued video may not be dispatched yet; null = it may
  add column waits_for text check (waits_for in ('not_before', 'price')),
  add constraint video_market_is_of_flex check (
    service_tier = 'flex' or (max_price_micros is null and not_before is null and waits_for is null)
  ),
  add constraint video_that_waits_is_not_dispatched
    check (waits_for is null or status not in ('dispatched', 'running'));

-- The gate finds the heads in it, and what waits for its time or its price stands in nobody's way. Shape
-- comes before key, so that a pool jumps over a shape it cannot make as a whole. Key and not account: a key
-- at its limit holds up no other key, and what is behind its head need not be looked at.
drop index video_queued_by_shape_and_key;
create index video_ready_by_shape_and_key
  on video (capability, service_tier, width, height, num_frames, key_id, id)
  where status = 'queued' and waits_for is null;
-- Whom time wakes, whom a price wakes, and whom one sends to wait: looked at from the first on, by how far
-- the clock and the price have come.
create index video_waits_for_time on video (not_before)
  where status = 'queued' and waits_for = 'not_before';
create index video_waits_for_price on video (multiplier_bps)
  where status = 'queued' and waits_for = 'price';
create index video_ready_at_a_price on video (multiplier_bps)
  where status = 'queued' and waits_for is null and max_price_micros is not null and fence = 0;

-- The operator's prices of flex; the newest is in force. Without one it is SLUICE_FLEX_MULTIPLIER_BPS.
create table flex_schedule (
  id bigint generated always as identity primary key,
  set_at timestamptz not null default now(),
  kind text not null check (kind in ('hour', 'utilisation')),
  -- [{"from": 0, "multiplier_bps": 5000}, ...], by from
  steps jsonb not null
);
-- A price once set is history: a new one takes effect beside it.
revoke update, delete, truncate on flex_schedule from sluice_app;

-- What the gate's leader sees of utilisation, smoothed.
create table flex_market (
  only_row boolean primary key default true check (only_row),
  utilisation double precision not null default 0 check (utilisation between 0 and 1),
  noted_at timestamptz
);
insert into flex_market default values;
