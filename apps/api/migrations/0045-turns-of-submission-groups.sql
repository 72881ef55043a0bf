-- Whose turn it is among API processes that submit for the same accounts: theirs whose group has locked the
-- row. A row, since any role may take any advisory lock, and GPU hosts on the Postgres queue have a role of
-- their own.
-- Up Migration
create table submission_turn (
  only_row boolean primary key default true check (only_row)
);
insert into submission_turn default values;
revoke insert, delete on submission_turn from sluice_app;
