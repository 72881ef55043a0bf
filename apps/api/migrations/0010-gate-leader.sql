-- Who leads the gate. A row, since any role may take any advisory lock, and GPU hosts on the Postgres queue
-- have a role of their own.
-- Up Migration
create table gate_leader (
  only_row boolean primary key default true check (only_row),
  -- Counts leaderships. Null holder = nobody has led yet.
  term bigint not null default 0,
  holder text,
  -- The holder's session: it has ended when this server has no such process.
  pid integer,
  server_started_at timestamptz,
  renewed_at timestamptz
);
insert into gate_leader default values;
revoke insert, delete on gate_leader from sluice_app;
