-- Who changed what, on whom, when; append-only.
-- Up Migration
create table audit (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default now(),
  key_id text not null references api_key,
  action text not null,
  subject text not null,
  details jsonb not null
);
create index audit_of_subject on audit (subject, id);

create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% on % is refused: the audit is append-only', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_append_only before update or delete or truncate on audit
  for each statement execute function audit_is_append_only();
revoke update, delete, truncate on audit from sluice_app;
