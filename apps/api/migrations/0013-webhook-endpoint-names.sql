-- What the openai packages' own webhook calls keep of an endpoint besides ours: a name, and when it was changed last.
-- Up Migration
alter table webhook_endpoint
  add column name text not null default '' check (length(name) <= 200),
  add column updated_at timestamptz not null default now();
update webhook_endpoint set updated_at = created_at;
