-- How many videos may run at once, of an account and of a key; how many a key may have queued.
-- Up Migration
alter table account
  -- videos with a device at once, over all pools; the others wait queued. null = no limit
  add column running_max integer check (running_max >= 0);

alter table api_key
  -- refused at submission beyond that; null = no limit but the account's
  add column queued_max integer check (queued_max >= 0),
  -- as the account's
  add column running_max integer check (running_max >= 0),
  drop constraint api_key_limits_are_of_account_keys,
  add constraint api_key_limits_are_of_account_keys check (account_id is not null or
    (models is null and token_budget is null and requests_per_minute is null and queued_max is null and running_max is null));

-- The gate's lines are of keys, no longer of accounts: a key at its limit stands in a line of its own and holds up nobody
-- else's, and what is behind its head need not be looked at. A key belongs to one account for good.
drop index video_line_of_shape;
create index video_line_of_shape on video (model, service_tier, width, height, num_frames, key_id, id) where status = 'queued';

-- Counts what an account has queued, and what one of its keys has.
drop index video_queued_of_account;
create index video_queued_of_account on video (account_id, key_id) where status = 'queued';
