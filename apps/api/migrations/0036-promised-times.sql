-- Times that videos are promised by, and what is given back when a promise is missed.
-- Up Migration

alter table account
  -- whether its videos may be promised a time
  add column promises boolean not null default false;

-- A program of the version before knows no promises. It can do all as before, but for one: it cannot end a
-- video that was promised a time, since it would give nothing back. It is refused, its worker says the end
-- again, and the next program that is asked ends the video. So: promises are turned on for an account once
-- every API process knows them.
alter table video
  -- by when it is to be completed; null = nothing was promised
  add column deliver_by timestamptz,
  -- given: until the time has passed or the video has ended; void: its owner cancelled it before
  add column promise text check (promise in ('given', 'kept', 'missed', 'void')),
  -- the multiplier of flex when it was submitted: all that it costs in the end when the promise is missed
  add column missed_multiplier_bps integer check (missed_multiplier_bps > 0),
  -- what was given back of its charge; charged_micros is what was left
  add column rebate_micros bigint not null default 0 check (rebate_micros >= 0),
  add constraint video_promise_is_whole
    check ((promise is null) = (deliver_by is null) and (promise is null) = (missed_multiplier_bps is null)),
  add constraint video_promise_is_decided_at_the_end check (promise <> 'given' or ended_at is null),
  add constraint video_promise_is_kept_in_time
    check (promise <> 'kept' or status = 'completed' and ended_at <= deliver_by),
  add constraint video_promise_is_void_when_cancelled check (promise <> 'void' or status = 'cancelled'),
  add constraint video_rebate_is_of_a_missed_promise check (rebate_micros = 0 or promise = 'missed'),
  add constraint video_rebate_within_hold check (charged_micros + rebate_micros <= hold_micros);

create index video_promised on video (deliver_by) where promise = 'given';

-- A rebate gives back a part of what a settle charged.
alter table transfer
  drop constraint transfer_kind_check,
  add constraint transfer_kind_check
    check (kind in ('hold', 'settle', 'rebate', 'top_up', 'trial_grant', 'refund')),
  drop constraint transfer_for_a_video_names_it,
  add constraint transfer_for_a_video_names_it
    check ((kind in ('hold', 'settle', 'rebate')) = (video_id is not null));

alter table webhook_endpoint
  drop constraint webhook_endpoint_events_check,
  add constraint webhook_endpoint_events_check
    check (cardinality(events) > 0
      and events <@ array['video.completed', 'video.failed', 'video.promise_missed']);
alter table webhook_event
  drop constraint webhook_event_type_check,
  add constraint webhook_event_type_check
    check (type in ('video.completed', 'video.failed', 'video.promise_missed', 'webhook.test'));
-- A video ends once, and misses its promise once.
drop index webhook_event_once_per_video;
create unique index webhook_event_once_per_video on webhook_event (subject_id)
  where type in ('video.completed', 'video.failed');
create unique index webhook_event_once_per_promise on webhook_event (subject_id)
  where type = 'video.promise_missed';
