-- How often and how much of a credit expired, kept instead of summed over all that it ever paid for.
-- Up Migration

-- All at once, as in 0028: whoever holds one of these after a minute ends the migration.
do $$
declare
  usual constant text := current_setting('lock_timeout');
begin
  for try in 1..100 loop
    begin
      set local lock_timeout = '500ms';
      lock table transfer, credit in access exclusive mode;
      perform set_config('lock_timeout', usual, true);
      return;
    exception when lock_not_available or deadlock_detected then
      if try = 100 then raise; end if;
      perform pg_sleep(0.1);
    end;
  end loop;
end
$$;

alter table credit
  -- of its expiries, kept by a trigger on transfer: the key of the next one is numbered by them
  add column expiries integer not null default 0 check (expiries >= 0),
  add column expired_micros bigint not null default 0 check (expired_micros >= 0);

-- Statements have a line of each expiry, and none of what videos move: no history is read.
update credit c
set expiries = x.expiries, expired_micros = x.micros
from (
  select a.credit_id, count(*) as expiries, -sum(e.amount) as micros
  from account_transfer t
  join entry e on e.transfer_id = t.transfer_id
  join ledger_account a on a.id = e.ledger_account_id
  where t.kind = 'expiry' and a.credit_id is not null
  group by 1
) x
where c.id = x.credit_id;

create function expiry_is_kept() returns trigger language plpgsql as $$
begin
  update credit c
  set expiries = c.expiries + 1, expired_micros = c.expired_micros - e.amount
  from entry e
  join ledger_account a on a.id = e.ledger_account_id
  where e.transfer_id = new.id and a.credit_id = c.id;
  return null;
end
$$;
-- At the commit, when its entries are there, whichever version of the program wrote them. The transaction has
-- locked the account's money, so the next expiry of the credit sees it.
create constraint trigger expiry_kept after insert on transfer
  deferrable initially deferred for each row
  when (new.kind = 'expiry') execute function expiry_is_kept();
