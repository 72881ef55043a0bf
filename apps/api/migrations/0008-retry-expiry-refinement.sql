-- Videos made again from failed ones, files that are kept for a time only, and prompts another model wrote out.
-- Up Migration
alter table video
  add column retried_from_video_id text,
  -- how long the files are kept once the video is completed; frozen at submission, null = for good
  add column retention_seconds integer check (retention_seconds > 0),
  add column expires_at timestamptz check (expires_at is null or status = 'completed'),
  add column files_removed_at timestamptz,
  -- how the refinement that was asked for went; null = none was asked for
  add column refinement text check (refinement in ('refined', 'unavailable', 'refused')),
  -- the prompt as it was given, where the request holds the refined one
  add column original_prompt text,
  add check ((original_prompt is not null) = (refinement is not distinct from 'refined'));

-- Completed videos whose files are due to be removed.
create index video_files_expiring on video (expires_at) where expires_at is not null and files_removed_at is null;
