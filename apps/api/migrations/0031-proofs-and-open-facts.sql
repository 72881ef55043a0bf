-- How far the ledger has been proven, so that a check goes on from there.
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

-- The entries of each ledger account up to ledger_proof.entry_id.
create table proven_sum (
  ledger_account_id bigint primary key references ledger_account,
  amount numeric not null,
  -- of that, top-ups less refunds, and trial credit given
  paid numeric not null,
  granted numeric not null
);
