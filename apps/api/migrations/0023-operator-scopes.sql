-- Scopes of the operator that only read: admin:read what the operator's calls show, metrics:read the figures
-- for Prometheus alone.
-- Up Migration
alter table api_key
  drop constraint api_key_scopes_check,
  add constraint api_key_scopes_check check (
    cardinality(scopes) > 0
    and scopes <@ array['videos:read', 'videos:write', 'admin', 'admin:read', 'metrics:read', 'worker']
  );
