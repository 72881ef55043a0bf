-- What each submission pays for in the database, made less.
-- Up Migration

-- Every statement that adds entries adds whole ones: of each transfer that it writes to, what it adds sums to
-- zero. So does then all of the transfer, without a look at each of its entries at the commit. Older programs
-- write a transfer in one statement too.
drop trigger transfer_sums_to_zero on entry;
drop function entry_sums_to_zero();
create function entries_sum_to_zero() returns trigger language plpgsql as $$
declare
  lopsided text;
begin
  select transfer_id into lopsided from added group by transfer_id having sum(amount) <> 0 limit 1;
  if found then
    raise exception 'transfer % does not sum to zero', lopsided
      using errcode = 'check_violation', constraint = 'transfer_sums_to_zero';
  end if;
  return null;
end
$$;
create trigger transfer_sums_to_zero after insert on entry
  referencing new table as added
  for each statement execute function entries_sum_to_zero();

-- Nothing reads it since repeats have a table of their own (0014).
drop index video_recent_request;
