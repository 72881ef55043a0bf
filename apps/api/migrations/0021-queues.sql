-- Workers of one pool that serve different models share a name and not a queue, so that none of them takes
-- anything away from the others. And the gate knows of each queue whether what it puts there is taken.
-- Up Migration

-- The queue a worker reads: a text it makes of its pool and of what it serves.
alter table worker add column queue text;
update worker set queue = pool;
alter table worker alter column queue set not null;

-- The queue an attempt was put into; null = that of its pool, as before queues had names of their own.
alter table attempt add column queue text;

create or replace view device_occupant with (security_invoker = true) as
  select
    v.id as video_id, v.fence, v.account_id, v.key_id, v.status, v.service_tier, v.pool,
    v.capability, v.resolution, v.width, v.height, v.num_frames, v.num_steps, v.video_tokens, v.step,
    v.yield_requested_at, v.execution_expires_at, a.free_at, a.started_at, a.dispatched_at, a.taken_at,
    coalesce(a.queue, a.pool) as queue
  from video v
  join attempt a on a.video_id = v.id and a.fence = v.fence
  where v.status in ('dispatched', 'running') and a.released_at is null;

-- Whether workers take what is put into a queue. No row = nothing was left untaken so far.
create table queue_delivery (
  queue text primary key,
  pool text not null,
  -- dispatches that nobody took, since one was taken last or a worker said anew that it has slots
  untaken_in_a_row integer not null check (untaken_in_a_row >= 0),
  untaken_total bigint not null check (untaken_total >= untaken_in_a_row),
  -- until then nothing is put there; null = something may be
  paused_until timestamptz
);

-- Boots of a worker that a later one has replaced, the newest first. One that is heard of again is a live
-- process with the same id as another.
alter table worker add column replaced_boots text[] not null default '{}';
