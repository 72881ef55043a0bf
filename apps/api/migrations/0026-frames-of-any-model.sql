-- How many frames a clip may have is its model's rule, which the catalogue knows.
-- Up Migration
alter table video
  drop constraint video_num_frames_check,
  add constraint video_num_frames_check check (num_frames > 0);
