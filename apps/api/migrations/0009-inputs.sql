-- Images that videos are made from (mode i2v). They lie below inputs/<video id>/ in the object store.
-- Up Migration
alter table video add column input_kept boolean not null default false;

-- Ended videos whose image is to be removed some time.
create index video_input_ending on video (coalesce(deleted_at, expires_at, ended_at))
  where input_kept and (deleted_at is not null or expires_at is not null or status in ('failed', 'cancelled'));
