-- What was expected of a video in a future in which much is in its way: p90 is learned from that. And whether
-- its pace was measured by then: what was assumed of a new shape says nothing of those that were measured.
-- Up Migration

-- Null in what a program before this one writes: as late as expected.
alter table eta_given add column late_ms double precision check (late_ms >= stored_ms);
alter table eta_outcome add column late_ms double precision check (late_ms >= stored_ms);
alter table eta_given add column measured boolean not null default true;
alter table eta_outcome add column measured boolean not null default true;
