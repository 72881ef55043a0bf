-- Who may do what. The API connects as the owner and works as sluice_app, which may not rewrite the ledger.
-- GPU hosts on the Postgres queue connect as sluice_worker, which sees schema bullmq alone;
-- give it a password with
--   ALTER ROLE sluice_worker LOGIN PASSWORD '...'
-- Up Migration
do $$
begin
  if not exists (select from pg_roles where rolname = 'sluice_app') then
    create role sluice_app nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'sluice_worker') then
    create role sluice_worker nologin;
  end if;
exception when duplicate_object or unique_violation then
  null; -- another database of the same cluster was set up at the same moment
end
$$;
do $$
begin
  if not pg_has_role(current_user, 'sluice_app', 'set') then
    execute format('grant sluice_app to %I', current_user);
  end if;
end
$$;

create schema if not exists bullmq;
grant usage on schema public, bullmq to sluice_app;
grant usage on schema bullmq to sluice_worker;
revoke all on schema public from sluice_worker;

-- What the owner makes later is usable too. Tables that must not be rewritten take rights away where they are
-- made.
alter default privileges in schema public grant select, insert, update, delete on tables to sluice_app;
alter default privileges in schema public grant usage on sequences to sluice_app;
alter default privileges in schema bullmq
  grant select, insert, update, delete on tables to sluice_app, sluice_worker;
alter default privileges in schema bullmq grant usage on sequences to sluice_app, sluice_worker;
alter default privileges in schema bullmq grant execute on functions to sluice_app, sluice_worker;
