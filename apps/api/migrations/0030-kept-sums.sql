-- What ended and was charged, summed by key and model: kept, so that no call adds a history up.
-- Up Migration

-- One row for each span of time in which videos of the key and model ended. `hour` and `day` are UTC's;
-- `ever` begins at -infinity; `budget` is the budget interval the videos were submitted in. Only transactions
-- that hold the locks on the account's money write here, so no two wait for each other.
create table usage_sum (
  key_id text not null references api_key,
  span text not null check (span in ('hour', 'day', 'ever', 'budget')),
  starts_at timestamptz not null,
  model text not null,
  account_id text not null references account,
  completed bigint not null check (completed >= 0),
  failed bigint not null check (failed >= 0),
  cancelled bigint not null check (cancelled >= 0),
  -- generated tokens charged
  tokens bigint not null check (tokens >= 0),
  charged_micros bigint not null check (charged_micros >= 0),
  primary key (key_id, span, starts_at, model)
) with (fillfactor = 80);
create index usage_sum_of_account on usage_sum (account_id, span, starts_at);

-- What a video that has ended adds to its sums.
create function usage_of(v video) returns setof usage_sum language sql stable as $$
  select v.key_id, s.span, s.starts_at, v.model, v.account_id,
    (v.status = 'completed')::int::bigint, (v.status = 'failed')::int::bigint,
    (v.status = 'cancelled')::int::bigint, v.video_tokens * v.charged_steps, v.charged_micros
  from (values
    ('hour', date_trunc('hour', v.ended_at, 'UTC')),
    ('day', date_trunc('day', v.ended_at, 'UTC')),
    ('ever', '-infinity'::timestamptz),
    ('budget', v.budget_starts_at)
  ) s(span, starts_at)
  where s.starts_at is not null
$$;

-- Videos that ended and whose facts nobody has added up yet; emptied every second.
create table uncounted_video (
  video_id text not null
);

create function video_end_is_summed() returns trigger language plpgsql as $$
begin
  -- Whoever mends the end of a video by hand mends the sums with it.
  if old.ended_at is not null then
    update usage_sum u set
      completed = u.completed - o.completed, failed = u.failed - o.failed,
      cancelled = u.cancelled - o.cancelled, tokens = u.tokens - o.tokens,
      charged_micros = u.charged_micros - o.charged_micros
    from usage_of(old) o
    where u.key_id = o.key_id and u.span = o.span and u.starts_at = o.starts_at and u.model = o.model;
  end if;
  if new.ended_at is not null then
    insert into usage_sum as u select * from usage_of(new)
    on conflict (key_id, span, starts_at, model) do update set
      completed = u.completed + excluded.completed, failed = u.failed + excluded.failed,
      cancelled = u.cancelled + excluded.cancelled, tokens = u.tokens + excluded.tokens,
      charged_micros = u.charged_micros + excluded.charged_micros;
  end if;
  if old.ended_at is null then
    insert into uncounted_video values (new.id);
  end if;
  return null;
end
$$;
-- At the commit: by then the settlement has locked the account's money, so the ends of an account's videos
-- take turns before they come here, and programs of the version before write the sums too.
create constraint trigger video_end_summed after update of ended_at on video
  deferrable initially deferred for each row
  when (old.ended_at is distinct from new.ended_at) execute function video_end_is_summed();

insert into usage_sum
  select key_id, 'hour', date_trunc('hour', ended_at, 'UTC'), model, account_id,
    count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed'),
    count(*) filter (where status = 'cancelled'), sum(video_tokens * charged_steps), sum(charged_micros)
  from video
  where ended_at is not null
  group by key_id, date_trunc('hour', ended_at, 'UTC'), model, account_id;
insert into usage_sum
  select key_id, 'budget', budget_starts_at, model, account_id,
    count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed'),
    count(*) filter (where status = 'cancelled'), sum(video_tokens * charged_steps), sum(charged_micros)
  from video
  where ended_at is not null and budget_starts_at is not null
  group by key_id, budget_starts_at, model, account_id;
insert into usage_sum
  select u.key_id, s.span, s.starts_at, u.model, u.account_id,
    sum(u.completed), sum(u.failed), sum(u.cancelled), sum(u.tokens), sum(u.charged_micros)
  from usage_sum u
  cross join lateral (values
    ('day', date_trunc('day', u.starts_at, 'UTC')), ('ever', '-infinity'::timestamptz)
  ) s(span, starts_at)
  where u.span = 'hour'
  group by u.key_id, s.span, s.starts_at, u.model, u.account_id;

-- Nothing sums a key's videos any more.
drop index video_charged_of_key;
