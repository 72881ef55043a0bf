-- What a receiver says beside yes and no: 410 = never again, Retry-After = not before.
-- Up Migration
alter table webhook_endpoint
  -- who disabled it: its owner, or its own 410; null while it is not disabled
  add column disabled_reason text check (disabled_reason in ('asked', 'gone')),
  -- nothing is sent to it before: what Retry-After asked for
  add column paused_until timestamptz;
update webhook_endpoint set disabled_reason = 'asked' where disabled_at is not null;
alter table webhook_endpoint
  add constraint webhook_endpoint_disabled_has_a_reason
    check ((disabled_at is null) = (disabled_reason is null));
