-- Several installations may share a Redis: each has queues of its own, named after this.
-- Up Migration
alter table installation add column id uuid not null default gen_random_uuid();
