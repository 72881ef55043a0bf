-- Heartbeats and reports write when an attempt was last heard of, about once a second for each. While no
-- index holds that time, such a write stays on its page and touches no index. Silence is looked for among
-- the attempts that last, which are few.
-- Up Migration

drop index attempt_live;
create index attempt_live on attempt (pool) where ended_at is null;
