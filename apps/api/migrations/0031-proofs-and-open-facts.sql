-- How far the ledger has been proven, so that a check goes on from there; and the facts of hours that are
-- not over, added to as videos end.
-- Up Migration

create table ledger_proof (
  only_row boolean primary key default true check (only_row),
  -- proven_sum has what all entries up to this one come to; none is added among them any more
  entry_id bigint not null default 0,
  -- Nothing was broken up to then; null: the next check begins at the beginning.
  proven_at timestamptz
);
insert into ledger_proof default values;
-- The last number given to an entry: what a check goes up to.
grant select on sequence entry_id_seq to sluice_app;

-- The entries of each ledger account up to ledger_proof.entry_id. No foreign key: its check would lock rows
-- of accounts in another order than submissions do.
create table proven_sum (
  ledger_account_id bigint primary key,
  amount numeric not null,
  -- of that, top-ups less refunds, and trial credit given
  paid numeric not null,
  granted numeric not null
);

-- Facts of hours that are not closed, not rounded: of counted videos, and of GPU time until clock_until.
create table fact_open (
  hour timestamptz not null check (hour = date_trunc('hour', hour, 'UTC')),
  pool text not null,
  fact text not null,
  value numeric not null check (value > 0),
  primary key (hour, pool, fact)
) with (fillfactor = 50);

-- From this hour on every video that ended is in fact_open or in uncounted_video; before it there are only
-- the rows. Where videos have ended already, that is the hour after this one.
alter table facts_closed add column counted_from timestamptz, add column clock_until timestamptz;
update facts_closed set counted_from = date_trunc('hour', now(), 'UTC')
  + case when exists (select from video) then interval '1 hour' else interval '0' end;
update facts_closed set clock_until = counted_from;
alter table facts_closed alter column counted_from set not null, alter column clock_until set not null;
