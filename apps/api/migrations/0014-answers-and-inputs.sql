-- Which videos' answers are not known to have arrived, which tries were refused, and which input images are
-- stored ahead of their video.
-- Up Migration

-- One row per submission of an SDK without Idempotency-Key, until its caller is known to know the video.
create table unconfirmed_answer (
  video_id text primary key,
  key_id text not null,
  request_hash bytea not null,
  -- how often the call whose answer this is had been repeated by then
  tries integer not null default 0 check (tries >= 0),
  -- open: on its way; lost: its connection broke first; whole: sent to its last byte
  state text not null default 'open' check (state in ('open', 'lost', 'whole')),
  changed_at timestamptz not null default now()
);
create index unconfirmed_answer_of_request on unconfirmed_answer (key_id, request_hash);
create index unconfirmed_answer_by_age on unconfirmed_answer (changed_at);

-- Tries that an SDK repeats, and that made no video.
create table refused_try (
  id bigint generated always as identity primary key,
  key_id text not null,
  -- null: it was refused before its body was read
  request_hash bytea,
  try_number integer not null check (try_number >= 0),
  refused_at timestamptz not null default now()
);
create index refused_try_of_key on refused_try (key_id, try_number);
create index refused_try_by_age on refused_try (refused_at);

-- An image is stored before the transaction that inserts its video; a row that stays names one without.
create table pending_input (
  video_id text primary key,
  created_at timestamptz not null default now()
);
