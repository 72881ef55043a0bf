-- A model has resolution classes of its own; the catalogue knows which.
-- Up Migration
alter table price
  drop constraint price_resolution_check,
  add constraint price_resolution_check check (resolution ~ '^[a-z0-9][a-z0-9._-]{0,31}$');
