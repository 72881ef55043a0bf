-- What a start of the API made has no key that asked for it.
-- Up Migration
alter table audit alter column key_id drop not null;
