-- The operator's own models, and modes that not every worker of a model can make.
-- Up Migration
-- What a worker must offer to make the video. packages/shared, capabilityOf, reckons the same.
alter table video add column capability text not null
  generated always as (case when request ->> 'mode' = 't2i2v' then model || '/t2i2v' else model end) stored;

drop index video_line_of_shape;
-- The gate's lines: videos of one account that ask for the same of a pool. Shape comes before account, so that a pool jumps
-- over what it cannot make as a whole instead of walking through it.
create index video_line_of_shape on video (capability, service_tier, width, height, num_frames, account_id, id) where status = 'queued';

alter table worker
  add column modes text[] not null default '{t2v,i2v}',
  -- devices a sequence is split over: 512 + video tokens must be a multiple of it
  add column sequence_devices integer not null default 1 check (sequence_devices > 0);

-- An image made first takes its own time.
alter table prediction rename column model to capability;
