-- What recovery must know: in which process of a worker an attempt ran, and since when workers could be
-- heard.
-- Up Migration

-- The process of its worker that took it.
alter table attempt add column boot text;

-- Since when, without a gap, some API process could have heard a worker. One row.
create table reception (
  is_only boolean primary key default true check (is_only),
  since timestamptz not null,
  until timestamptz not null,
  -- when an API process last began
  api_started_at timestamptz not null
) with (fillfactor = 50);
insert into reception (since, until, api_started_at) values (now(), now(), now());

-- A pace and a place in the queue are finite: one absurd value would stand for good in all that is computed
-- from it. What was believed so far is mended, since it is measured again.
delete from pace where not (step_ms <= 86400000 and overhead_ms <= 86400000);
alter table pace
  add constraint pace_within_a_day check (step_ms <= 86400000 and overhead_ms <= 86400000);
update gate_clock set virtual_ms = 0 where virtual_ms not between 0 and 1e15;
delete from gate_tag t using gate_clock c
where c.service_tier = t.service_tier and not (t.finish_ms <= c.virtual_ms + 2592000000);
alter table gate_clock add constraint gate_clock_is_finite check (virtual_ms < 'infinity');
alter table gate_tag add constraint gate_tag_is_finite check (finish_ms < 'infinity');
