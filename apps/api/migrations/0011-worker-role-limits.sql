-- The role of GPU hosts can hold neither every connection nor a row of the queue for long.
-- Up Migration
do $$
begin
  if exists (select from pg_roles where rolname = 'sluice_worker' and rolconnlimit = -1) then
    execute format('alter role sluice_worker connection limit %s',
      greatest(10, current_setting('max_connections')::int / 2));
    alter role sluice_worker set statement_timeout = '10s';
    alter role sluice_worker set lock_timeout = '5s';
    alter role sluice_worker set idle_in_transaction_session_timeout = '10s';
  end if;
exception
  when insufficient_privilege then
    raise warning 'sluice_worker belongs to somebody else: give it a connection limit and time limits';
  when internal_error then
    null; -- another database of the same cluster was migrated at the same moment
end
$$;
