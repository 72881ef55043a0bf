-- A worker that slept through the end of its video still has signed URLs, and may put files with them. So an
-- ended video is swept twice: soon, which gives the room back, and once no URL is good any more.
-- Up Migration
alter table video add column swept_for_good_at timestamptz;

-- Ended videos that have not been swept since the last of their signed URLs expired.
create index video_unswept_for_good on video (ended_at)
  where ended_at is not null and swept_for_good_at is null;
