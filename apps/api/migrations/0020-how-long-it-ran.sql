-- The gate asks a video to make room only when it has run for a while.
-- Up Migration
create or replace view device_occupant with (security_invoker = true) as
  select
    v.id as video_id, v.fence, v.account_id, v.key_id, v.status, v.service_tier, v.pool,
    v.capability, v.resolution, v.width, v.height, v.num_frames, v.num_steps, v.video_tokens, v.step,
    v.yield_requested_at, v.execution_expires_at, a.free_at, a.started_at
  from video v
  join attempt a on a.video_id = v.id and a.fence = v.fence
  where v.status in ('dispatched', 'running') and a.released_at is null;
