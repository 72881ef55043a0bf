-- How many videos an account and each of its keys have queued and in flight, kept instead of counted.
-- Up Migration

-- Every table that this migration and those after it up to 0043 change, at once and before anything else: a
-- program of the version before takes these locks one after another, in more than one order, and whoever
-- takes a second one here deadlocks with it. What is not free within half a second lets everybody else pass
-- first; whoever still holds one after a minute ends the migration, which changes nothing.
do $$
declare
  usual constant text := current_setting('lock_timeout');
begin
  for try in 1..100 loop
    begin
      set local lock_timeout = '500ms';
      lock table account, api_key, entry, video, attempt, facts_closed, ledger_account, transfer, pace,
        webhook_endpoint, webhook_event in access exclusive mode;
      perform set_config('lock_timeout', usual, true);
      return;
    exception when lock_not_available or deadlock_detected then
      if try = 100 then raise; end if;
      perform pg_sleep(0.1);
    end;
  end loop;
end
$$;

-- What is in flight of an account or key is looked at one by one: there are no more than slots.
create index video_in_flight_of_account on video (account_id, key_id)
  where status in ('dispatched', 'running');

-- The counts of an account (key_id = '') and of its keys, by tier. Each is spread over one row per kind of
-- writer, so that nobody waits for another's transaction; only their sum means anything.
--   account: submissions and ends of videos, which hold the lock of the account's money
--   gate:    dispatches, which come from the one session that leads the gate
--   requeue: videos that come back to the queue
--   repair:  what the operator's repair adds
create table queue_count (
  account_id text not null,
  key_id text not null,
  service_tier text not null,
  writer text not null check (writer in ('account', 'gate', 'requeue', 'repair')),
  queued bigint not null default 0,
  in_flight bigint not null default 0,
  primary key (account_id, key_id, service_tier, writer)
) with (fillfactor = 25);

-- Submissions hold the lock of their accounts' money by now.
create function count_inserted_videos() returns trigger language plpgsql as $$
begin
  insert into queue_count as c (account_id, key_id, service_tier, writer, queued, in_flight)
  select account_id, coalesce(key_id, ''), service_tier, 'account',
    count(*) filter (where status = 'queued'),
    count(*) filter (where status in ('dispatched', 'running'))
  from inserted
  where status in ('queued', 'dispatched', 'running')
  group by grouping sets ((account_id, service_tier), (account_id, key_id, service_tier))
  order by 1, 2, 3
  on conflict (account_id, key_id, service_tier, writer) do update
    set queued = c.queued + excluded.queued, in_flight = c.in_flight + excluded.in_flight;
  return null;
end
$$;
create trigger video_inserted_is_counted
  after insert on video
  referencing new table as inserted
  for each statement execute function count_inserted_videos();

-- At the end of the transaction, when an end of a video has locked its account's money: a count is the last
-- thing that is locked, and only while the transaction commits. The account's row comes before its key's.
create function count_changed_video() returns trigger language plpgsql as $$
declare
  by_writer constant text :=
    case new.status when 'dispatched' then 'gate' when 'queued' then 'requeue' else 'account' end;
  queued_by constant integer := (new.status = 'queued')::integer - (old.status = 'queued')::integer;
  in_flight_by constant integer :=
    (new.status in ('dispatched', 'running'))::integer - (old.status in ('dispatched', 'running'))::integer;
begin
  insert into queue_count as c (account_id, key_id, service_tier, writer, queued, in_flight)
  values
    (new.account_id, '', new.service_tier, by_writer, queued_by, in_flight_by),
    (new.account_id, new.key_id, new.service_tier, by_writer, queued_by, in_flight_by)
  on conflict (account_id, key_id, service_tier, writer) do update
    set queued = c.queued + excluded.queued, in_flight = c.in_flight + excluded.in_flight;
  return null;
end
$$;
create constraint trigger video_change_is_counted
  after update of status on video
  deferrable initially deferred
  for each row
  when (
    old.status <> new.status
    and not (old.status in ('dispatched', 'running') and new.status in ('dispatched', 'running')))
  execute function count_changed_video();

-- The lock of the triggers keeps every other writer out until the end of the migration.
insert into queue_count (account_id, key_id, service_tier, writer, queued, in_flight)
select account_id, coalesce(key_id, ''), service_tier, 'account',
  count(*) filter (where status = 'queued'),
  count(*) filter (where status in ('dispatched', 'running'))
from video
where status in ('queued', 'dispatched', 'running')
group by grouping sets ((account_id, service_tier), (account_id, key_id, service_tier));

-- Counts that are not what the videos say, and by how much they are too high: there should be none.
create view queue_count_drift with (security_invoker = true) as
  select account_id, key_id, service_tier, sum(queued)::bigint as queued, sum(in_flight)::bigint as in_flight
  from (
    select account_id, key_id, service_tier, queued, in_flight from queue_count
    union all
    select account_id, coalesce(key_id, ''), service_tier, -count(*), 0
    from video
    where status = 'queued'
    group by grouping sets ((account_id, service_tier), (account_id, key_id, service_tier))
    union all
    select account_id, coalesce(key_id, ''), service_tier, 0, -count(*)
    from video
    where status in ('dispatched', 'running')
    group by grouping sets ((account_id, service_tier), (account_id, key_id, service_tier))) said
  group by account_id, key_id, service_tier
  having sum(queued) <> 0 or sum(in_flight) <> 0;
revoke insert, update, delete on queue_count_drift from sluice_app;
