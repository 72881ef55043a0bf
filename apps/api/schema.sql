-- What the migrations make; read it, never write it. Rewritten by:
--   npx vitest run --project integration-postgres test/integration/database.test.ts -u

create schema bullmq;
grant usage on schema bullmq to sluice_app;
grant usage on schema bullmq to sluice_worker;
alter default privileges in schema bullmq grant delete, insert, select, update on tables to sluice_app;
alter default privileges in schema bullmq grant delete, insert, select, update on tables to sluice_worker;
alter default privileges in schema bullmq grant execute on functions to sluice_app;
alter default privileges in schema bullmq grant execute on functions to sluice_worker;
alter default privileges in schema bullmq grant usage on sequences to sluice_app;
alter default privileges in schema bullmq grant usage on sequences to sluice_worker;

create schema public;
grant usage on schema public to sluice_app;
alter default privileges in schema public grant delete, insert, select, update on tables to sluice_app;
alter default privileges in schema public grant usage on sequences to sluice_app;

create table account (
  id text not null,
  name text not null,
  weight integer not null default 100,
  queued_max integer not null default 1000,
  unfinished_max integer,
  running_max integer,
  last_submitted_at timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  promises boolean not null default false,
  balance_low_micros bigint,
  exhausted_at timestamp with time zone,
  constraint account_pkey PRIMARY KEY (id),
  constraint account_balance_low_micros_check CHECK (balance_low_micros > 0),
  constraint account_name_check CHECK (length(name) >= 1 AND length(name) <= 200),
  constraint account_queued_max_check CHECK (queued_max >= 0),
  constraint account_running_max_check CHECK (running_max >= 0),
  constraint account_unfinished_max_check CHECK (unfinished_max >= 0),
  constraint account_weight_check CHECK (weight >= 1 AND weight <= 10000)
);
grant delete, insert, select, update on account to sluice_app;

create table account_transfer (
  transfer_id text not null,
  account_id text not null,
  kind text not null,
  amount_micros bigint not null,
  created_at timestamp with time zone not null,
  constraint account_transfer_pkey PRIMARY KEY (transfer_id),
  constraint account_transfer_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint account_transfer_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES transfer(id)
);
grant insert, select on account_transfer to sluice_app;

create table api_key (
  id text not null,
  account_id text,
  name text not null default ''::text,
  hash bytea not null,
  prefix text not null,
  scopes text[] not null,
  models text[],
  token_budget bigint,
  budget_interval text not null default 'none'::text,
  requests_per_minute integer,
  queued_max integer,
  running_max integer,
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  constraint api_key_pkey PRIMARY KEY (id),
  constraint api_key_hash_key UNIQUE (hash),
  constraint api_key_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint api_key_budget_interval_check CHECK (budget_interval = ANY (ARRAY['day'::text, '30d'::text, 'none'::text])),
  constraint api_key_hash_check CHECK (length(hash) = 32),
  constraint api_key_limits_are_of_account_keys CHECK (account_id IS NOT NULL OR models IS NULL AND token_budget IS NULL AND requests_per_minute IS NULL AND queued_max IS NULL AND running_max IS NULL),
  constraint api_key_models_check CHECK (cardinality(models) > 0),
  constraint api_key_name_check CHECK (length(name) <= 200),
  constraint api_key_of_a_worker_is_nothing_else CHECK (NOT ('worker'::text = ANY (scopes)) OR cardinality(scopes) = 1),
  constraint api_key_of_videos_has_an_account CHECK ((account_id IS NOT NULL) = (scopes && ARRAY['videos:read'::text, 'videos:write'::text])),
  constraint api_key_queued_max_check CHECK (queued_max >= 0),
  constraint api_key_requests_per_minute_check CHECK (requests_per_minute > 0),
  constraint api_key_running_max_check CHECK (running_max >= 0),
  constraint api_key_scopes_check CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['videos:read'::text, 'videos:write'::text, 'admin'::text, 'admin:read'::text, 'metrics:read'::text, 'worker'::text]),
  constraint api_key_token_budget_check CHECK (token_budget >= 0)
);
grant delete, insert, select, update on api_key to sluice_app;

create table attempt (
  video_id text not null,
  fence integer not null,
  pool text not null,
  resumed_from_step integer not null default 0,
  claim text,
  worker_id text,
  key_id text,
  slot integer,
  devices integer,
  phase text,
  step integer not null default 0,
  free_at timestamp with time zone,
  heartbeat_at timestamp with time zone not null default now(),
  dispatched_at timestamp with time zone not null default now(),
  taken_at timestamp with time zone,
  started_at timestamp with time zone,
  released_at timestamp with time zone,
  ended_at timestamp with time zone,
  outcome text,
  error_code text,
  error_message text,
  result jsonb,
  boot text,
  queue text,
  constraint attempt_pkey PRIMARY KEY (video_id, fence),
  constraint attempt_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_key(id),
  constraint attempt_video_id_fkey FOREIGN KEY (video_id) REFERENCES video(id),
  constraint attempt_claim_check CHECK (claim ~ '^[0-9a-f]{32}$'::text),
  constraint attempt_claimed_by_a_worker CHECK ((claim IS NULL) = (worker_id IS NULL)),
  constraint attempt_devices_check CHECK (devices > 0),
  constraint attempt_ended_has_an_outcome CHECK ((outcome IS NULL) = (ended_at IS NULL)),
  constraint attempt_fence_check CHECK (fence > 0),
  constraint attempt_outcome_check CHECK (outcome = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text, 'yielded'::text, 'lost'::text]))
) with (fillfactor=80);
grant delete, insert, select, update on attempt to sluice_app;

create table audit (
  id bigint not null generated always as identity,
  created_at timestamp with time zone not null default now(),
  key_id text,
  action text not null,
  subject text not null,
  details jsonb not null,
  constraint audit_pkey PRIMARY KEY (id),
  constraint audit_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_key(id)
);
grant insert, select on audit to sluice_app;

create table charge_month (
  account_id text not null,
  month timestamp with time zone not null,
  model text not null,
  service_tier text not null,
  videos bigint not null,
  tokens bigint not null,
  charged_micros bigint not null,
  rebate_micros bigint not null,
  rebates bigint not null,
  constraint charge_month_pkey PRIMARY KEY (account_id, month, model, service_tier),
  constraint charge_month_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint charge_month_charged_micros_check CHECK (charged_micros >= 0),
  constraint charge_month_month_check CHECK (month = date_trunc('month'::text, month, 'UTC'::text)),
  constraint charge_month_rebate_micros_check CHECK (rebate_micros >= 0),
  constraint charge_month_rebates_check CHECK (rebates >= 0),
  constraint charge_month_tokens_check CHECK (tokens >= 0),
  constraint charge_month_videos_check CHECK (videos >= 0)
) with (fillfactor=80);
grant delete, insert, select, update on charge_month to sluice_app;

create table credit (
  id text not null,
  account_id text not null,
  kind text not null,
  granted_micros bigint not null,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone not null default now(),
  is_open boolean not null default false,
  expiries integer not null default 0,
  expired_micros bigint not null default 0,
  constraint credit_pkey PRIMARY KEY (id),
  constraint credit_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint credit_expired_micros_check CHECK (expired_micros >= 0),
  constraint credit_expiries_check CHECK (expiries >= 0),
  constraint credit_granted_micros_check CHECK (granted_micros > 0),
  constraint credit_kind_check CHECK (kind = ANY (ARRAY['paid'::text, 'promotional'::text]))
);
grant insert, select, update on credit to sluice_app;

create table demand_hour (
  hour timestamp with time zone not null,
  account_id text not null,
  service_tier text not null,
  capability text not null,
  resolution text not null,
  width integer not null,
  height integer not null,
  num_frames integer not null,
  num_steps integer not null,
  video_tokens bigint not null,
  videos bigint not null,
  constraint demand_hour_pkey PRIMARY KEY (hour, account_id, service_tier, capability, width, height, num_frames, num_steps, resolution, video_tokens),
  constraint demand_hour_height_check CHECK (height > 0),
  constraint demand_hour_hour_check CHECK (hour = date_trunc('hour'::text, hour, 'UTC'::text)),
  constraint demand_hour_num_frames_check CHECK (num_frames > 0),
  constraint demand_hour_num_steps_check CHECK (num_steps > 0),
  constraint demand_hour_service_tier_check CHECK (service_tier = ANY (ARRAY['priority'::text, 'standard'::text, 'flex'::text])),
  constraint demand_hour_video_tokens_check CHECK (video_tokens > 0),
  constraint demand_hour_videos_check CHECK (videos > 0),
  constraint demand_hour_width_check CHECK (width > 0)
);
grant delete, insert, select, update on demand_hour to sluice_app;

create table demand_summed (
  only_row boolean not null default true,
  until timestamp with time zone not null,
  constraint demand_summed_pkey PRIMARY KEY (only_row),
  constraint demand_summed_only_row_check CHECK (only_row),
  constraint demand_summed_until_check CHECK (until = date_trunc('hour'::text, until, 'UTC'::text))
);
grant delete, insert, select, update on demand_summed to sluice_app;

create table entry (
  id bigint not null generated always as identity,
  transfer_id text not null,
  ledger_account_id bigint not null,
  amount bigint not null,
  constraint entry_pkey PRIMARY KEY (id),
  constraint entry_ledger_account_id_fkey FOREIGN KEY (ledger_account_id) REFERENCES ledger_account(id),
  constraint entry_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES transfer(id),
  constraint entry_amount_check CHECK (amount <> 0)
);
grant insert, select on entry to sluice_app;

create table eta_given (
  video_id text not null,
  given_at timestamp with time zone not null default now(),
  p50_ms double precision not null,
  p90_ms double precision not null,
  pool text,
  start_ms double precision,
  free_ms double precision,
  stored_ms double precision,
  late_ms double precision,
  measured boolean not null default true,
  constraint eta_given_pkey PRIMARY KEY (video_id),
  constraint eta_given_video_id_fkey FOREIGN KEY (video_id) REFERENCES video(id),
  constraint eta_given_check CHECK (free_ms >= start_ms),
  constraint eta_given_check1 CHECK (stored_ms >= free_ms),
  constraint eta_given_check2 CHECK (late_ms >= stored_ms),
  constraint eta_given_p50_ms_check CHECK (p50_ms >= 0::double precision),
  constraint eta_given_p90_is_later CHECK (p90_ms >= p50_ms),
  constraint eta_given_start_ms_check CHECK (start_ms >= 0::double precision)
);
grant delete, insert, select, update on eta_given to sluice_app;

create table eta_outcome (
  id bigint not null generated always as identity,
  pool text not null,
  service_tier text not null,
  start_ms double precision not null,
  free_ms double precision not null,
  stored_ms double precision not null,
  p50_ms double precision not null,
  p90_ms double precision not null,
  started_ms double precision not null,
  freed_ms double precision not null,
  took_ms double precision not null,
  late_ms double precision,
  measured boolean not null default true,
  constraint eta_outcome_pkey PRIMARY KEY (id),
  constraint eta_outcome_check CHECK (free_ms >= start_ms),
  constraint eta_outcome_check1 CHECK (stored_ms >= free_ms),
  constraint eta_outcome_check2 CHECK (p90_ms >= p50_ms),
  constraint eta_outcome_check3 CHECK (late_ms >= stored_ms),
  constraint eta_outcome_p50_ms_check CHECK (p50_ms >= 0::double precision),
  constraint eta_outcome_start_ms_check CHECK (start_ms >= 0::double precision)
);
grant delete, insert, select, update on eta_outcome to sluice_app;

create table fact_hour (
  hour timestamp with time zone not null,
  pool text not null,
  fact text not null,
  value numeric not null,
  constraint fact_hour_pkey PRIMARY KEY (hour, pool, fact),
  constraint fact_hour_hour_check CHECK (hour = date_trunc('hour'::text, hour, 'UTC'::text)),
  constraint fact_hour_value_check CHECK (value > 0::numeric)
);
grant insert, select on fact_hour to sluice_app;

create table fact_open (
  hour timestamp with time zone not null,
  pool text not null,
  fact text not null,
  value numeric not null,
  constraint fact_open_pkey PRIMARY KEY (hour, pool, fact),
  constraint fact_open_hour_check CHECK (hour = date_trunc('hour'::text, hour, 'UTC'::text)),
  constraint fact_open_value_check CHECK (value > 0::numeric)
) with (fillfactor=50);
grant delete, insert, select, update on fact_open to sluice_app;

create table facts_closed (
  singleton boolean not null default true,
  until timestamp with time zone not null,
  counted_from timestamp with time zone not null,
  clock_until timestamp with time zone not null,
  constraint facts_closed_pkey PRIMARY KEY (singleton),
  constraint facts_closed_singleton_check CHECK (singleton)
);
grant delete, insert, select, update on facts_closed to sluice_app;

create table flex_market (
  only_row boolean not null default true,
  utilisation double precision not null default 0,
  noted_at timestamp with time zone,
  constraint flex_market_pkey PRIMARY KEY (only_row),
  constraint flex_market_only_row_check CHECK (only_row),
  constraint flex_market_utilisation_check CHECK (utilisation >= 0::double precision AND utilisation <= 1::double precision)
);
grant delete, insert, select, update on flex_market to sluice_app;

create table flex_schedule (
  id bigint not null generated always as identity,
  set_at timestamp with time zone not null default now(),
  kind text not null,
  steps jsonb not null,
  constraint flex_schedule_pkey PRIMARY KEY (id),
  constraint flex_schedule_kind_check CHECK (kind = ANY (ARRAY['hour'::text, 'utilisation'::text]))
);
grant insert, select on flex_schedule to sluice_app;

create table gate_clock (
  service_tier text not null,
  virtual_ms double precision not null default 0,
  constraint gate_clock_pkey PRIMARY KEY (service_tier),
  constraint gate_clock_is_finite CHECK (virtual_ms < 'Infinity'::double precision),
  constraint gate_clock_service_tier_check CHECK (service_tier = ANY (ARRAY['priority'::text, 'standard'::text, 'flex'::text]))
);
grant delete, insert, select, update on gate_clock to sluice_app;

create table gate_leader (
  only_row boolean not null default true,
  term bigint not null default 0,
  holder text,
  pid integer,
  server_started_at timestamp with time zone,
  renewed_at timestamp with time zone,
  constraint gate_leader_pkey PRIMARY KEY (only_row),
  constraint gate_leader_only_row_check CHECK (only_row)
);
grant select, update on gate_leader to sluice_app;

create table gate_tag (
  service_tier text not null,
  account_id text not null,
  finish_ms double precision not null,
  constraint gate_tag_pkey PRIMARY KEY (service_tier, account_id),
  constraint gate_tag_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint gate_tag_service_tier_fkey FOREIGN KEY (service_tier) REFERENCES gate_clock(service_tier),
  constraint gate_tag_is_finite CHECK (finish_ms < 'Infinity'::double precision)
);
grant delete, insert, select, update on gate_tag to sluice_app;

create table installation (
  singleton boolean not null default true,
  currency text not null,
  created_at timestamp with time zone not null default now(),
  id uuid not null default gen_random_uuid(),
  constraint installation_pkey PRIMARY KEY (singleton),
  constraint installation_currency_check CHECK (currency ~ '^[A-Z]{3}$'::text),
  constraint installation_singleton_check CHECK (singleton)
);
grant delete, insert, select, update on installation to sluice_app;

create table key_budget (
  key_id text not null,
  starts_at timestamp with time zone not null,
  budget_tokens bigint not null,
  used_tokens bigint not null,
  constraint key_budget_pkey PRIMARY KEY (key_id, starts_at),
  constraint key_budget_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_key(id),
  constraint key_budget_not_overspent CHECK (used_tokens >= 0 AND used_tokens <= budget_tokens)
) with (fillfactor=50);
grant delete, insert, select, update on key_budget to sluice_app;

create table ledger_account (
  id bigint not null generated always as identity,
  kind text not null,
  account_id text,
  currency text not null,
  balance bigint,
  credit_id text,
  constraint ledger_account_pkey PRIMARY KEY (id),
  constraint ledger_account_once UNIQUE NULLS NOT DISTINCT (kind, account_id, currency, credit_id),
  constraint ledger_account_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint ledger_account_credit_id_fkey FOREIGN KEY (credit_id) REFERENCES credit(id),
  constraint ledger_account_balance_check CHECK (balance >= 0),
  constraint ledger_account_kind_check CHECK (kind = ANY (ARRAY['customer'::text, 'trial'::text, 'hold'::text, 'revenue'::text, 'funding'::text, 'promotion'::text, 'expired'::text])),
  constraint ledger_account_of_a_credit_can_be_spent CHECK (credit_id IS NULL OR (kind = ANY (ARRAY['customer'::text, 'trial'::text]))),
  constraint ledger_account_of_a_tenant_has_a_balance CHECK ((balance IS NOT NULL) = (account_id IS NOT NULL)),
  constraint ledger_account_of_a_tenant_or_the_system CHECK ((kind = ANY (ARRAY['customer'::text, 'trial'::text, 'hold'::text])) = (account_id IS NOT NULL))
);
grant delete, insert, select, update on ledger_account to sluice_app;

create table ledger_proof (
  only_row boolean not null default true,
  entry_id bigint not null default 0,
  proven_at timestamp with time zone,
  constraint ledger_proof_pkey PRIMARY KEY (only_row),
  constraint ledger_proof_only_row_check CHECK (only_row)
);
grant delete, insert, select, update on ledger_proof to sluice_app;

create table migration (
  id integer not null default nextval('migration_id_seq'::regclass),
  name character varying(255) not null,
  run_on timestamp without time zone not null,
  constraint migration_pkey PRIMARY KEY (id)
);

create table pace (
  pool text not null,
  capability text not null,
  width integer not null,
  height integer not null,
  num_frames integer not null,
  step_ms double precision not null,
  overhead_ms double precision not null,
  samples integer not null,
  upload_ms double precision,
  constraint pace_pkey PRIMARY KEY (pool, capability, width, height, num_frames),
  constraint pace_overhead_ms_check CHECK (overhead_ms >= 0::double precision),
  constraint pace_samples_check CHECK (samples > 0),
  constraint pace_step_ms_check CHECK (step_ms >= 0::double precision),
  constraint pace_upload_ms_check CHECK (upload_ms >= 0::double precision AND upload_ms <= 86400000::double precision),
  constraint pace_within_a_day CHECK (step_ms <= 86400000::double precision AND overhead_ms <= 86400000::double precision)
);
grant delete, insert, select, update on pace to sluice_app;

create table payment (
  id text not null,
  provider text not null,
  session text not null,
  intent text,
  account_id text,
  reference text,
  status text not null,
  problem text,
  currency text not null,
  paid_micros bigint not null,
  net_micros bigint not null,
  credited_micros bigint not null default 0,
  reversed_micros bigint not null default 0,
  refunded_micros bigint not null default 0,
  owed_micros bigint not null default 0,
  waived_micros bigint not null default 0,
  moves integer not null default 0,
  is_live boolean not null,
  created_at timestamp with time zone not null default now(),
  credited_at timestamp with time zone,
  constraint payment_pkey PRIMARY KEY (id),
  constraint payment_provider_session_key UNIQUE (provider, session),
  constraint payment_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint payment_provider_intent_fkey FOREIGN KEY (provider, intent) REFERENCES payment_intent(provider, intent),
  constraint payment_check CHECK (net_micros >= 0 AND net_micros <= paid_micros),
  constraint payment_credited_has_an_account CHECK ((status = 'credited'::text) = (credited_at IS NOT NULL) AND (status <> 'credited'::text OR account_id IS NOT NULL)),
  constraint payment_credited_micros_check CHECK (credited_micros >= 0),
  constraint payment_currency_check CHECK (currency ~ '^[A-Z]{3}$'::text),
  constraint payment_owed_micros_check CHECK (owed_micros >= 0),
  constraint payment_paid_micros_check CHECK (paid_micros > 0),
  constraint payment_problem_check CHECK (problem = ANY (ARRAY['no_account'::text, 'unknown_account'::text, 'other_currency'::text, 'subscription'::text, 'reversed_in_other_currency'::text])),
  constraint payment_provider_check CHECK (provider = 'stripe'::text),
  constraint payment_reference_check CHECK (length(reference) <= 200),
  constraint payment_refunded_micros_check CHECK (refunded_micros >= 0),
  constraint payment_reversed_micros_check CHECK (reversed_micros >= 0),
  constraint payment_status_check CHECK (status = ANY (ARRAY['pending'::text, 'credited'::text, 'unassigned'::text, 'dismissed'::text, 'failed'::text])),
  constraint payment_takes_back_what_it_credited CHECK ((reversed_micros + refunded_micros + owed_micros + waived_micros) <= credited_micros),
  constraint payment_uncredited_moves_nothing CHECK (status = 'credited'::text OR credited_micros = 0),
  constraint payment_waived_micros_check CHECK (waived_micros >= 0)
);
grant delete, insert, select, update on payment to sluice_app;

create table payment_intent (
  provider text not null,
  intent text not null,
  constraint payment_intent_pkey PRIMARY KEY (provider, intent),
  constraint payment_intent_provider_check CHECK (provider = 'stripe'::text)
);
grant insert, select, update on payment_intent to sluice_app;

create table payment_refund (
  transfer_id text not null,
  payment_id text not null,
  amount_micros bigint not null,
  constraint payment_refund_pkey PRIMARY KEY (transfer_id, payment_id),
  constraint payment_refund_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payment(id),
  constraint payment_refund_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES transfer(id),
  constraint payment_refund_amount_micros_check CHECK (amount_micros > 0)
);
grant insert, select on payment_refund to sluice_app;

create table payment_reversal (
  provider text not null,
  reversal text not null,
  intent text not null,
  cause text not null,
  currency text not null,
  amount_micros bigint not null,
  stands boolean not null,
  said_at timestamp with time zone not null,
  constraint payment_reversal_pkey PRIMARY KEY (provider, reversal),
  constraint payment_reversal_provider_intent_fkey FOREIGN KEY (provider, intent) REFERENCES payment_intent(provider, intent),
  constraint payment_reversal_amount_micros_check CHECK (amount_micros >= 0),
  constraint payment_reversal_cause_check CHECK (cause = ANY (ARRAY['refund'::text, 'dispute'::text]))
);
grant delete, insert, select, update on payment_reversal to sluice_app;

create table pending_input (
  video_id text not null,
  created_at timestamp with time zone not null default now(),
  constraint pending_input_pkey PRIMARY KEY (video_id)
);
grant delete, insert, select, update on pending_input to sluice_app;

create table price (
  model text not null,
  resolution text not null,
  currency text not null,
  effective_at timestamp with time zone not null default now(),
  micros_per_million bigint not null,
  constraint price_pkey PRIMARY KEY (model, resolution, currency, effective_at),
  constraint price_micros_per_million_check CHECK (micros_per_million >= 0),
  constraint price_resolution_check CHECK (resolution ~ '^[a-z0-9][a-z0-9._-]{0,31}$'::text)
);
grant insert, select on price to sluice_app;

create table proven_sum (
  ledger_account_id bigint not null,
  amount numeric not null,
  paid numeric not null,
  granted numeric not null,
  constraint proven_sum_pkey PRIMARY KEY (ledger_account_id)
);
grant delete, insert, select, update on proven_sum to sluice_app;

create table queue_count (
  account_id text not null,
  key_id text not null,
  service_tier text not null,
  writer text not null,
  queued bigint not null default 0,
  in_flight bigint not null default 0,
  constraint queue_count_pkey PRIMARY KEY (account_id, key_id, service_tier, writer),
  constraint queue_count_writer_check CHECK (writer = ANY (ARRAY['account'::text, 'gate'::text, 'requeue'::text, 'repair'::text]))
) with (fillfactor=25);
grant delete, insert, select, update on queue_count to sluice_app;

create table queue_delivery (
  queue text not null,
  pool text not null,
  untaken_in_a_row integer not null,
  untaken_total bigint not null,
  paused_until timestamp with time zone,
  constraint queue_delivery_pkey PRIMARY KEY (queue),
  constraint queue_delivery_check CHECK (untaken_total >= untaken_in_a_row),
  constraint queue_delivery_untaken_in_a_row_check CHECK (untaken_in_a_row >= 0)
);
grant delete, insert, select, update on queue_delivery to sluice_app;

create unlogged table rate_limit (
  key character varying(255) not null,
  points integer not null default 0,
  expire double precision,
  constraint rate_limit_pkey PRIMARY KEY (key)
) with (fillfactor=50);
grant delete, insert, select, update on rate_limit to sluice_app;

create table reception (
  is_only boolean not null default true,
  since timestamp with time zone not null,
  until timestamp with time zone not null,
  api_started_at timestamp with time zone not null,
  constraint reception_pkey PRIMARY KEY (is_only),
  constraint reception_is_only_check CHECK (is_only)
) with (fillfactor=50);
grant delete, insert, select, update on reception to sluice_app;

create table refused_try (
  id bigint not null generated always as identity,
  key_id text not null,
  request_hash bytea,
  try_number integer not null,
  refused_at timestamp with time zone not null default now(),
  constraint refused_try_pkey PRIMARY KEY (id),
  constraint refused_try_try_number_check CHECK (try_number >= 0)
);
grant delete, insert, select, update on refused_try to sluice_app;

create table submission_turn (
  only_row boolean not null default true,
  constraint submission_turn_pkey PRIMARY KEY (only_row),
  constraint submission_turn_only_row_check CHECK (only_row)
);
grant select, update on submission_turn to sluice_app;

create table switch_pace (
  pool text not null,
  switch_ms double precision not null,
  samples integer not null,
  constraint switch_pace_pkey PRIMARY KEY (pool),
  constraint switch_pace_samples_check CHECK (samples > 0),
  constraint switch_pace_switch_ms_check CHECK (switch_ms >= 0::double precision)
);
grant delete, insert, select, update on switch_pace to sluice_app;

create table transfer (
  id text not null,
  idempotency_key text not null,
  kind text not null,
  video_id text,
  created_at timestamp with time zone not null default now(),
  knows_expiry boolean,
  constraint transfer_pkey PRIMARY KEY (id),
  constraint transfer_idempotency_key_key UNIQUE (idempotency_key),
  constraint transfer_of_video FOREIGN KEY (video_id) REFERENCES video(id) DEFERRABLE INITIALLY DEFERRED,
  constraint transfer_for_a_video_names_it CHECK ((kind = ANY (ARRAY['hold'::text, 'settle'::text, 'rebate'::text])) = (video_id IS NOT NULL)),
  constraint transfer_kind_check CHECK (kind = ANY (ARRAY['hold'::text, 'settle'::text, 'rebate'::text, 'top_up'::text, 'trial_grant'::text, 'refund'::text, 'expiry'::text, 'reversal'::text, 'reinstatement'::text]))
);
grant insert, select on transfer to sluice_app;

create table transfer_month (
  account_id text not null,
  month timestamp with time zone not null,
  kind text not null,
  transfers bigint not null,
  amount_micros bigint not null,
  constraint transfer_month_pkey PRIMARY KEY (account_id, month, kind),
  constraint transfer_month_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint transfer_month_month_check CHECK (month = date_trunc('month'::text, month, 'UTC'::text))
) with (fillfactor=80);
grant delete, insert, select, update on transfer_month to sluice_app;

create table unconfirmed_answer (
  video_id text not null,
  key_id text not null,
  request_hash bytea not null,
  tries integer not null default 0,
  state text not null default 'open'::text,
  changed_at timestamp with time zone not null default now(),
  constraint unconfirmed_answer_pkey PRIMARY KEY (video_id),
  constraint unconfirmed_answer_state_check CHECK (state = ANY (ARRAY['open'::text, 'lost'::text, 'whole'::text])),
  constraint unconfirmed_answer_tries_check CHECK (tries >= 0)
);
grant delete, insert, select, update on unconfirmed_answer to sluice_app;

create table uncounted_video (
  video_id text not null
);
grant delete, insert, select, update on uncounted_video to sluice_app;

create table usage_sum (
  key_id text not null,
  span text not null,
  starts_at timestamp with time zone not null,
  model text not null,
  account_id text not null,
  completed bigint not null,
  failed bigint not null,
  cancelled bigint not null,
  tokens bigint not null,
  charged_micros bigint not null,
  constraint usage_sum_pkey PRIMARY KEY (key_id, span, starts_at, model),
  constraint usage_sum_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint usage_sum_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_key(id),
  constraint usage_sum_cancelled_check CHECK (cancelled >= 0),
  constraint usage_sum_charged_micros_check CHECK (charged_micros >= 0),
  constraint usage_sum_completed_check CHECK (completed >= 0),
  constraint usage_sum_failed_check CHECK (failed >= 0),
  constraint usage_sum_span_check CHECK (span = ANY (ARRAY['hour'::text, 'day'::text, 'ever'::text, 'budget'::text])),
  constraint usage_sum_tokens_check CHECK (tokens >= 0)
) with (fillfactor=80);
grant delete, insert, select, update on usage_sum to sluice_app;

create table video (
  id text not null,
  account_id text not null,
  key_id text not null,
  status text not null default 'queued'::text,
  model text not null,
  service_tier text not null,
  resolution text not null,
  width integer not null,
  height integer not null,
  num_frames integer not null,
  num_steps integer not null,
  request jsonb not null,
  capability text not null generated always as (
CASE
    WHEN (request ->> 'mode'::text) = 't2i2v'::text THEN model || '/t2i2v'::text
    ELSE model
END) stored,
  metadata jsonb not null default '{}'::jsonb,
  webhook_url text,
  remixed_from_video_id text,
  retried_from_video_id text,
  idempotency_key text,
  request_hash bytea not null,
  refinement text,
  original_prompt text,
  video_tokens bigint not null,
  currency text not null,
  price_micros_per_million bigint not null,
  multiplier_bps integer not null,
  hold_micros bigint not null,
  charged_micros bigint,
  charged_steps integer,
  budget_starts_at timestamp with time zone,
  fence integer not null default 0,
  pool text,
  step integer not null default 0,
  failures_in_a_row integer not null default 0,
  cancel_requested_at timestamp with time zone,
  cancel_step integer,
  yield_requested_at timestamp with time zone,
  checkpoint_key text,
  checkpoint_step integer,
  output_prefix text,
  error_code text,
  error_message text,
  created_at timestamp with time zone not null default now(),
  started_at timestamp with time zone,
  ended_at timestamp with time zone,
  execution_expires_at timestamp with time zone not null,
  retention_seconds integer,
  expires_at timestamp with time zone,
  files_removed_at timestamp with time zone,
  input_kept boolean not null default false,
  deleted_at timestamp with time zone,
  swept_at timestamp with time zone,
  swept_for_good_at timestamp with time zone,
  passed_over_at timestamp with time zone,
  max_price_micros bigint,
  not_before timestamp with time zone,
  waits_for text,
  deliver_by timestamp with time zone,
  promise text,
  missed_multiplier_bps integer,
  rebate_micros bigint not null default 0,
  constraint video_pkey PRIMARY KEY (id),
  constraint video_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint video_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_key(id),
  constraint video_charge_is_of_steps CHECK ((charged_micros IS NULL) = (charged_steps IS NULL)),
  constraint video_charge_within_hold CHECK (charged_micros >= 0 AND charged_micros <= hold_micros),
  constraint video_charged_steps_within_steps CHECK (charged_steps >= 0 AND charged_steps <= num_steps),
  constraint video_checkpoint_has_a_step CHECK ((checkpoint_key IS NULL) = (checkpoint_step IS NULL)),
  constraint video_checkpoint_within_steps CHECK (checkpoint_step >= 1 AND checkpoint_step <= num_steps),
  constraint video_completed_has_output CHECK ((status = 'completed'::text) = (output_prefix IS NOT NULL)),
  constraint video_completed_may_expire CHECK (expires_at IS NULL OR status = 'completed'::text),
  constraint video_ended_has_an_end CHECK ((status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) = (ended_at IS NOT NULL)),
  constraint video_ended_is_charged CHECK ((status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) = (charged_micros IS NOT NULL)),
  constraint video_fence_check CHECK (fence >= 0),
  constraint video_height_check CHECK (height > 0),
  constraint video_hold_micros_check CHECK (hold_micros >= 0),
  constraint video_idempotency_key_check CHECK (length(idempotency_key) >= 1 AND length(idempotency_key) <= 255),
  constraint video_in_flight_has_a_pool CHECK ((status <> ALL (ARRAY['dispatched'::text, 'running'::text])) OR fence > 0 AND pool IS NOT NULL),
  constraint video_market_is_of_flex CHECK (service_tier = 'flex'::text OR max_price_micros IS NULL AND not_before IS NULL AND waits_for IS NULL),
  constraint video_max_price_micros_check CHECK (max_price_micros >= 0),
  constraint video_missed_multiplier_bps_check CHECK (missed_multiplier_bps > 0),
  constraint video_multiplier_bps_check CHECK (multiplier_bps > 0),
  constraint video_not_completed_has_an_error CHECK ((status = ANY (ARRAY['failed'::text, 'cancelled'::text])) = (error_code IS NOT NULL)),
  constraint video_num_frames_check CHECK (num_frames > 0),
  constraint video_num_steps_check CHECK (num_steps > 0),
  constraint video_price_micros_per_million_check CHECK (price_micros_per_million >= 0),
  constraint video_promise_check CHECK (promise = ANY (ARRAY['given'::text, 'kept'::text, 'missed'::text, 'void'::text])),
  constraint video_promise_is_decided_at_the_end CHECK (promise <> 'given'::text OR ended_at IS NULL),
  constraint video_promise_is_kept_in_time CHECK (promise <> 'kept'::text OR status = 'completed'::text AND ended_at <= deliver_by),
  constraint video_promise_is_void_when_cancelled CHECK (promise <> 'void'::text OR status = 'cancelled'::text),
  constraint video_promise_is_whole CHECK ((promise IS NULL) = (deliver_by IS NULL) AND (promise IS NULL) = (missed_multiplier_bps IS NULL)),
  constraint video_rebate_is_of_a_missed_promise CHECK (rebate_micros = 0 OR promise = 'missed'::text),
  constraint video_rebate_micros_check CHECK (rebate_micros >= 0),
  constraint video_rebate_within_hold CHECK ((charged_micros + rebate_micros) <= hold_micros),
  constraint video_refined_keeps_the_original CHECK ((original_prompt IS NOT NULL) = (NOT refinement IS DISTINCT FROM 'refined'::text)),
  constraint video_refinement_check CHECK (refinement = ANY (ARRAY['refined'::text, 'unavailable'::text, 'refused'::text])),
  constraint video_retention_seconds_check CHECK (retention_seconds > 0),
  constraint video_service_tier_check CHECK (service_tier = ANY (ARRAY['priority'::text, 'standard'::text, 'flex'::text])),
  constraint video_status_check CHECK (status = ANY (ARRAY['queued'::text, 'dispatched'::text, 'running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])),
  constraint video_step_within_steps CHECK (step >= 0 AND step <= num_steps),
  constraint video_that_waits_is_not_dispatched CHECK (waits_for IS NULL OR (status <> ALL (ARRAY['dispatched'::text, 'running'::text]))),
  constraint video_video_tokens_check CHECK (video_tokens > 0),
  constraint video_waits_for_check CHECK (waits_for = ANY (ARRAY['not_before'::text, 'price'::text])),
  constraint video_webhook_url_check CHECK (length(webhook_url) >= 1 AND length(webhook_url) <= 2048),
  constraint video_width_check CHECK (width > 0)
) with (fillfactor=80);
grant delete, insert, select, update on video to sluice_app;

create table webhook_attempt (
  delivery_id text not null,
  attempt integer not null,
  started_at timestamp with time zone not null,
  duration_ms integer not null,
  status_code integer,
  error text,
  constraint webhook_attempt_pkey PRIMARY KEY (delivery_id, attempt),
  constraint webhook_attempt_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES webhook_delivery(id) ON DELETE CASCADE,
  constraint webhook_attempt_attempt_check CHECK (attempt > 0),
  constraint webhook_attempt_duration_ms_check CHECK (duration_ms >= 0)
);
grant delete, insert, select, update on webhook_attempt to sluice_app;

create table webhook_delivery (
  id text not null,
  event_id text not null,
  account_id text not null,
  endpoint_id text,
  url text,
  lane text not null,
  status text not null default 'pending'::text,
  due_at timestamp with time zone default now(),
  expires_at timestamp with time zone not null default (now() + '72:00:00'::interval),
  attempts integer not null default 0,
  failures integer not null default 0,
  created_at timestamp with time zone not null default now(),
  constraint webhook_delivery_pkey PRIMARY KEY (id),
  constraint webhook_delivery_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint webhook_delivery_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoint(id),
  constraint webhook_delivery_event_id_fkey FOREIGN KEY (event_id) REFERENCES webhook_event(id) ON DELETE CASCADE,
  constraint webhook_delivery_goes_to_an_endpoint_or_a_url CHECK ((endpoint_id IS NULL) = (url IS NOT NULL)),
  constraint webhook_delivery_pending_is_due CHECK ((status = 'pending'::text) = (due_at IS NOT NULL)),
  constraint webhook_delivery_status_check CHECK (status = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text]))
) with (fillfactor=80);
grant delete, insert, select, update on webhook_delivery to sluice_app;

create table webhook_endpoint (
  id text not null,
  account_id text not null,
  name text not null default ''::text,
  url text not null,
  events text[] not null,
  secret text not null,
  previous_secret text,
  previous_secret_until timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  disabled_at timestamp with time zone,
  deleted_at timestamp with time zone,
  disabled_reason text,
  paused_until timestamp with time zone,
  constraint webhook_endpoint_pkey PRIMARY KEY (id),
  constraint webhook_endpoint_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint webhook_endpoint_disabled_has_a_reason CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
  constraint webhook_endpoint_disabled_reason_check CHECK (disabled_reason = ANY (ARRAY['asked'::text, 'gone'::text])),
  constraint webhook_endpoint_events_check CHECK (cardinality(events) > 0 AND events <@ ARRAY['video.completed'::text, 'video.failed'::text, 'video.promise_missed'::text, 'balance.low'::text, 'balance.exhausted'::text]),
  constraint webhook_endpoint_name_check CHECK (length(name) <= 200),
  constraint webhook_endpoint_previous_secret_ends CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL)),
  constraint webhook_endpoint_url_check CHECK (length(url) >= 1 AND length(url) <= 2048)
);
grant delete, insert, select, update on webhook_endpoint to sluice_app;

create table webhook_event (
  id text not null,
  account_id text not null,
  type text not null,
  subject_id text not null,
  created_at timestamp with time zone not null default now(),
  data jsonb,
  constraint webhook_event_pkey PRIMARY KEY (id),
  constraint webhook_event_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint webhook_event_type_check CHECK (type = ANY (ARRAY['video.completed'::text, 'video.failed'::text, 'video.promise_missed'::text, 'balance.low'::text, 'balance.exhausted'::text, 'webhook.test'::text]))
);
grant delete, insert, select, update on webhook_event to sluice_app;

create table webhook_secret (
  account_id text not null,
  secret text not null,
  previous_secret text,
  previous_secret_until timestamp with time zone,
  created_at timestamp with time zone not null default now(),
  constraint webhook_secret_pkey PRIMARY KEY (account_id),
  constraint webhook_secret_account_id_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint webhook_secret_previous_ends CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL))
);
grant delete, insert, select, update on webhook_secret to sluice_app;

create table worker (
  id text not null,
  key_id text not null,
  boot text not null,
  pool text not null,
  slots integer not null,
  device text not null,
  devices_per_slot integer not null,
  vram_bytes bigint not null,
  models text[] not null,
  modes text[] not null default '{t2v,i2v}'::text[],
  frames_max integer not null,
  pixels_max integer not null,
  sequence_devices integer not null default 1,
  cost_per_hour_micros bigint,
  draining boolean not null,
  heartbeat_at timestamp with time zone not null,
  queue text not null,
  replaced_boots text[] not null default '{}'::text[],
  loaded jsonb not null default '[]'::jsonb,
  constraint worker_pkey PRIMARY KEY (id),
  constraint worker_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_key(id),
  constraint worker_devices_per_slot_check CHECK (devices_per_slot > 0),
  constraint worker_sequence_devices_check CHECK (sequence_devices > 0),
  constraint worker_slots_check CHECK (slots >= 0)
);
grant delete, insert, select, update on worker to sluice_app;

create table worker_shift (
  id bigint not null generated always as identity,
  worker_id text not null,
  boot text not null,
  pool text not null,
  slots integer not null,
  devices_per_slot integer not null,
  cost_per_hour_micros bigint,
  began_at timestamp with time zone not null default now(),
  until timestamp with time zone not null default now(),
  constraint worker_shift_pkey PRIMARY KEY (id),
  constraint worker_shift_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES worker(id),
  constraint worker_shift_cost_per_hour_micros_check CHECK (cost_per_hour_micros >= 0),
  constraint worker_shift_devices_per_slot_check CHECK (devices_per_slot > 0),
  constraint worker_shift_ends_after_it_began CHECK (until >= began_at),
  constraint worker_shift_slots_check CHECK (slots >= 0)
) with (fillfactor=50);
grant delete, insert, select, update on worker_shift to sluice_app;

CREATE INDEX account_transfer_by_time ON public.account_transfer USING btree (account_id, created_at);

CREATE INDEX api_key_of_account ON public.api_key USING btree (account_id, id);

CREATE INDEX attempt_ended ON public.attempt USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX attempt_live ON public.attempt USING btree (pool) WHERE (ended_at IS NULL);

CREATE INDEX attempt_of_worker ON public.attempt USING btree (worker_id) WHERE (ended_at IS NULL);

CREATE INDEX audit_of_subject ON public.audit USING btree (subject, id);

CREATE INDEX credit_due ON public.credit USING btree (expires_at) WHERE is_open;

CREATE INDEX credit_of_account ON public.credit USING btree (account_id, id);

CREATE INDEX credit_open ON public.credit USING btree (account_id, expires_at) WHERE is_open;

CREATE INDEX entry_of_account_by_transfer ON public.entry USING btree (ledger_account_id, transfer_id);

CREATE INDEX entry_of_transfer ON public.entry USING btree (transfer_id);

CREATE INDEX eta_outcome_of_pool ON public.eta_outcome USING btree (pool, id);

CREATE INDEX gate_tag_ahead ON public.gate_tag USING btree (service_tier, finish_ms);

CREATE UNIQUE INDEX ledger_account_of_credit ON public.ledger_account USING btree (credit_id) WHERE (credit_id IS NOT NULL);

CREATE INDEX payment_by_status ON public.payment USING btree (status, id);

CREATE INDEX payment_of_account ON public.payment USING btree (account_id, id) WHERE (account_id IS NOT NULL);

CREATE UNIQUE INDEX payment_of_intent ON public.payment USING btree (provider, intent) WHERE (intent IS NOT NULL);

CREATE INDEX payment_owed ON public.payment USING btree (account_id) WHERE (owed_micros > 0);

CREATE INDEX payment_reversal_of_intent ON public.payment_reversal USING btree (provider, intent);

CREATE INDEX refused_try_by_age ON public.refused_try USING btree (refused_at);

CREATE INDEX refused_try_of_key ON public.refused_try USING btree (key_id, try_number);

CREATE UNIQUE INDEX transfer_once_per_video ON public.transfer USING btree (video_id, kind) WHERE (video_id IS NOT NULL);

CREATE INDEX unconfirmed_answer_by_age ON public.unconfirmed_answer USING btree (changed_at);

CREATE INDEX unconfirmed_answer_of_request ON public.unconfirmed_answer USING btree (key_id, request_hash);

CREATE INDEX usage_sum_of_account ON public.usage_sum USING btree (account_id, span, starts_at);

CREATE INDEX video_ended ON public.video USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX video_ended_of_account ON public.video USING btree (account_id, ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX video_expiring ON public.video USING btree (execution_expires_at) WHERE (status = ANY (ARRAY['queued'::text, 'dispatched'::text, 'running'::text]));

CREATE INDEX video_files_expiring ON public.video USING btree (expires_at) WHERE ((expires_at IS NOT NULL) AND (files_removed_at IS NULL));

CREATE UNIQUE INDEX video_idempotent ON public.video USING btree (account_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);

CREATE INDEX video_in_flight ON public.video USING btree (pool) WHERE (status = ANY (ARRAY['dispatched'::text, 'running'::text]));

CREATE INDEX video_in_flight_of_account ON public.video USING btree (account_id, key_id) WHERE (status = ANY (ARRAY['dispatched'::text, 'running'::text]));

CREATE INDEX video_input_ending ON public.video USING btree (COALESCE(deleted_at, expires_at, ended_at)) WHERE (input_kept AND ((deleted_at IS NOT NULL) OR (expires_at IS NOT NULL) OR (status = ANY (ARRAY['failed'::text, 'cancelled'::text]))));

CREATE INDEX video_of_account ON public.video USING btree (account_id, id) WHERE (deleted_at IS NULL);

CREATE INDEX video_promised ON public.video USING btree (deliver_by) WHERE (promise = 'given'::text);

CREATE INDEX video_queued_of_account ON public.video USING btree (account_id, key_id) WHERE (status = 'queued'::text);

CREATE INDEX video_ready_at_a_price ON public.video USING btree (multiplier_bps) WHERE ((status = 'queued'::text) AND (waits_for IS NULL) AND (max_price_micros IS NOT NULL) AND (fence = 0));

CREATE INDEX video_ready_by_shape_and_key ON public.video USING btree (capability, service_tier, width, height, num_frames, key_id, id) WHERE ((status = 'queued'::text) AND (waits_for IS NULL));

CREATE INDEX video_unswept ON public.video USING btree (ended_at) WHERE ((ended_at IS NOT NULL) AND (swept_at IS NULL));

CREATE INDEX video_unswept_for_good ON public.video USING btree (ended_at) WHERE ((ended_at IS NOT NULL) AND (swept_for_good_at IS NULL));

CREATE INDEX video_waits_for_price ON public.video USING btree (multiplier_bps) WHERE ((status = 'queued'::text) AND (waits_for = 'price'::text));

CREATE INDEX video_waits_for_time ON public.video USING btree (not_before) WHERE ((status = 'queued'::text) AND (waits_for = 'not_before'::text));

CREATE INDEX webhook_delivery_due ON public.webhook_delivery USING btree (due_at) WHERE (status = 'pending'::text);

CREATE INDEX webhook_delivery_line ON public.webhook_delivery USING btree (lane, due_at) WHERE (status = 'pending'::text);

CREATE INDEX webhook_delivery_of_account ON public.webhook_delivery USING btree (account_id, id);

CREATE INDEX webhook_delivery_of_endpoint ON public.webhook_delivery USING btree (endpoint_id, id);

CREATE INDEX webhook_delivery_of_event ON public.webhook_delivery USING btree (event_id);

CREATE INDEX webhook_endpoint_of_account ON public.webhook_endpoint USING btree (account_id, id) WHERE (deleted_at IS NULL);

CREATE INDEX webhook_event_by_age ON public.webhook_event USING btree (created_at);

CREATE UNIQUE INDEX webhook_event_once_per_promise ON public.webhook_event USING btree (subject_id) WHERE (type = 'video.promise_missed'::text);

CREATE UNIQUE INDEX webhook_event_once_per_video ON public.webhook_event USING btree (subject_id) WHERE (type = ANY (ARRAY['video.completed'::text, 'video.failed'::text]));

CREATE INDEX worker_shift_of_worker ON public.worker_shift USING btree (worker_id, id);

create view device_occupant with (security_invoker=true) as
 SELECT v.id AS video_id,
    v.fence,
    v.account_id,
    v.key_id,
    v.status,
    v.service_tier,
    v.pool,
    v.capability,
    v.resolution,
    v.width,
    v.height,
    v.num_frames,
    v.num_steps,
    v.video_tokens,
    v.step,
    v.yield_requested_at,
    v.execution_expires_at,
    a.free_at,
    a.started_at,
    a.dispatched_at,
    a.taken_at,
    COALESCE(a.queue, a.pool) AS queue,
    v.model,
    a.worker_id,
    a.slot
   FROM video v
     JOIN attempt a ON a.video_id = v.id AND a.fence = v.fence
  WHERE (v.status = ANY (ARRAY['dispatched'::text, 'running'::text])) AND a.released_at IS NULL;
grant select on device_occupant to sluice_app;

create view queue_count_drift with (security_invoker=true) as
 SELECT account_id,
    key_id,
    service_tier,
    sum(queued)::bigint AS queued,
    sum(in_flight)::bigint AS in_flight
   FROM ( SELECT queue_count.account_id,
            queue_count.key_id,
            queue_count.service_tier,
            queue_count.queued,
            queue_count.in_flight
           FROM queue_count
        UNION ALL
         SELECT video.account_id,
            COALESCE(video.key_id, ''::text) AS "coalesce",
            video.service_tier,
            - count(*),
            0
           FROM video
          WHERE video.status = 'queued'::text
          GROUP BY GROUPING SETS ((video.account_id, video.service_tier), (video.account_id, video.key_id, video.service_tier))
        UNION ALL
         SELECT video.account_id,
            COALESCE(video.key_id, ''::text) AS "coalesce",
            video.service_tier,
            0,
            - count(*)
           FROM video
          WHERE video.status = ANY (ARRAY['dispatched'::text, 'running'::text])
          GROUP BY GROUPING SETS ((video.account_id, video.service_tier), (video.account_id, video.key_id, video.service_tier))) said
  GROUP BY account_id, key_id, service_tier
 HAVING sum(queued) <> 0::numeric OR sum(in_flight) <> 0::numeric;
grant select on queue_count_drift to sluice_app;

CREATE OR REPLACE FUNCTION public.attempt_over(a attempt)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select coalesce(
    a.released_at,
    case when a.outcome is null or a.outcome = 'lost' then a.heartbeat_at else a.ended_at end
  )
$function$;

CREATE OR REPLACE FUNCTION public.audit_is_append_only()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception '% on % is refused: the audit is append-only', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end
$function$;

CREATE OR REPLACE FUNCTION public.balance_rises()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update account set exhausted_at = null where id = new.account_id and exhausted_at is not null;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.budget_interval_start(budget_interval text, key_created_at timestamp with time zone, at timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case budget_interval
    when 'day' then date_trunc('day', at, 'UTC')
    when '30d' then date_bin('30 days', at, date_trunc('day', key_created_at, 'UTC'))
    else date_trunc('day', key_created_at, 'UTC')
  end
$function$;

CREATE OR REPLACE FUNCTION public.charge_of(v video)
 RETURNS SETOF charge_month
 LANGUAGE sql
 STABLE
AS $function$
  select v.account_id, date_trunc('month', v.ended_at, 'UTC'), v.model, v.service_tier, 1::bigint,
    v.video_tokens * v.charged_steps, v.charged_micros, v.rebate_micros,
    (v.rebate_micros > 0)::int::bigint
  where v.charged_steps > 0
$function$;

CREATE OR REPLACE FUNCTION public.count_changed_video()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  by_writer constant text :=
    case new.status when 'dispatched' then 'gate' when 'queued' then 'requeue' else 'account' end;
  queued_by constant integer := (new.status = 'queued')::integer - (old.status = 'queued')::integer;
  in_flight_by constant integer :=
    (new.status in ('dispatched', 'running'))::integer - (old.status in ('dispatched', 'running'))::integer;
begin
  insert into queue_count as c (account_id, key_id, service_tier, writer, queued, in_flight)
  values
    (new.account_id, '', new.service_tier, by_writer, queued_by, in_flight_by),
    (new.account_id, new.key_id, new.service_tier, by_writer, queued_by, in_flight_by)
  on conflict (account_id, key_id, service_tier, writer) do update
    set queued = c.queued + excluded.queued, in_flight = c.in_flight + excluded.in_flight;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.count_inserted_videos()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into queue_count as c (account_id, key_id, service_tier, writer, queued, in_flight)
  select account_id, coalesce(key_id, ''), service_tier, 'account',
    count(*) filter (where status = 'queued'),
    count(*) filter (where status in ('dispatched', 'running'))
  from inserted
  where status in ('queued', 'dispatched', 'running')
  group by grouping sets ((account_id, service_tier), (account_id, key_id, service_tier))
  order by 1, 2, 3
  on conflict (account_id, key_id, service_tier, writer) do update
    set queued = c.queued + excluded.queued, in_flight = c.in_flight + excluded.in_flight;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.credit_opens_or_closes()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update credit set is_open = new.balance > 0 where id = new.credit_id;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.entries_sum_to_zero()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  lopsided text;
begin
  select transfer_id into lopsided from added group by transfer_id having sum(amount) <> 0 limit 1;
  if found then
    raise exception 'transfer % does not sum to zero', lopsided
      using errcode = 'check_violation', constraint = 'transfer_sums_to_zero';
  end if;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.expiry_is_kept()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update credit c
  set expiries = c.expiries + 1, expired_micros = c.expired_micros - e.amount
  from entry e
  join ledger_account a on a.id = e.ledger_account_id
  where e.transfer_id = new.id and a.credit_id = c.id;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.ledger_is_append_only()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception '% on % is refused: the ledger is append-only', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end
$function$;

CREATE OR REPLACE FUNCTION public.living_worker(lease_ms integer)
 RETURNS SETOF worker
 LANGUAGE sql
 STABLE
AS $function$
  select * from worker
  where slots > 0 and not draining and heartbeat_at > now() - lease_ms * interval '1 millisecond'
$function$;

CREATE OR REPLACE FUNCTION public.older_programs_settle_no_dated_credit()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (
    select from transfer t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id
    where t.video_id = new.video_id and t.kind = 'hold' and a.credit_id is not null
  ) then
    raise exception 'the hold of % draws on credit with an expiry date: a newer program settles it',
      new.video_id;
  end if;
  return new;
end
$function$;

CREATE OR REPLACE FUNCTION public.transfer_is_summed()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  with line as (
    insert into account_transfer
    select new.id, a.account_id, new.kind, sum(e.amount), new.created_at
    from entry e
    join ledger_account a on a.id = e.ledger_account_id
    where e.transfer_id = new.id and a.account_id is not null
    group by a.account_id
    returning account_id, kind, amount_micros, created_at
  )
  insert into transfer_month as m
  select account_id, date_trunc('month', created_at, 'UTC'), kind, 1, amount_micros from line
  on conflict (account_id, month, kind) do update set
    transfers = m.transfers + 1, amount_micros = m.amount_micros + excluded.amount_micros;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.usage_of(v video)
 RETURNS SETOF usage_sum
 LANGUAGE sql
 STABLE
AS $function$
  select v.key_id, s.span, s.starts_at, v.model, v.account_id,
    (v.status = 'completed')::int::bigint, (v.status = 'failed')::int::bigint,
    (v.status = 'cancelled')::int::bigint, v.video_tokens * v.charged_steps, v.charged_micros
  from (values
    ('hour', date_trunc('hour', v.ended_at, 'UTC')),
    ('day', date_trunc('day', v.ended_at, 'UTC')),
    ('ever', '-infinity'::timestamptz),
    ('budget', v.budget_starts_at)
  ) s(span, starts_at)
  where s.starts_at is not null
$function$;

CREATE OR REPLACE FUNCTION public.video_end_is_summed()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  -- Whoever mends the end of a video by hand mends the sums with it.
  if old.ended_at is not null then
    update usage_sum u set
      completed = u.completed - o.completed, failed = u.failed - o.failed,
      cancelled = u.cancelled - o.cancelled, tokens = u.tokens - o.tokens,
      charged_micros = u.charged_micros - o.charged_micros
    from usage_of(old) o
    where u.key_id = o.key_id and u.span = o.span and u.starts_at = o.starts_at and u.model = o.model;
    update charge_month m set
      videos = m.videos - o.videos, tokens = m.tokens - o.tokens,
      charged_micros = m.charged_micros - o.charged_micros,
      rebate_micros = m.rebate_micros - o.rebate_micros, rebates = m.rebates - o.rebates
    from charge_of(old) o
    where m.account_id = o.account_id and m.month = o.month and m.model = o.model
      and m.service_tier = o.service_tier;
  end if;
  if new.ended_at is not null then
    insert into usage_sum as u select * from usage_of(new)
    on conflict (key_id, span, starts_at, model) do update set
      completed = u.completed + excluded.completed, failed = u.failed + excluded.failed,
      cancelled = u.cancelled + excluded.cancelled, tokens = u.tokens + excluded.tokens,
      charged_micros = u.charged_micros + excluded.charged_micros;
    insert into charge_month as m select * from charge_of(new)
    on conflict (account_id, month, model, service_tier) do update set
      videos = m.videos + excluded.videos, tokens = m.tokens + excluded.tokens,
      charged_micros = m.charged_micros + excluded.charged_micros,
      rebate_micros = m.rebate_micros + excluded.rebate_micros, rebates = m.rebates + excluded.rebates;
  end if;
  if old.ended_at is null then
    insert into uncounted_video values (new.id);
  end if;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.worker_queue_of_pool()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  new.queue := new.pool;
  return new;
end
$function$;

CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

CREATE TRIGGER entry_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.entry FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

CREATE TRIGGER transfer_sums_to_zero AFTER INSERT ON public.entry REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entries_sum_to_zero();

CREATE TRIGGER balance_rises AFTER UPDATE OF balance ON public.ledger_account FOR EACH ROW WHEN (((new.kind <> 'hold'::text) AND (new.balance > old.balance))) EXECUTE FUNCTION balance_rises();

CREATE TRIGGER credit_opens_or_closes AFTER UPDATE OF balance ON public.ledger_account FOR EACH ROW WHEN (((new.credit_id IS NOT NULL) AND ((old.balance = 0) <> (new.balance = 0)))) EXECUTE FUNCTION credit_opens_or_closes();

CREATE CONSTRAINT TRIGGER expiry_kept AFTER INSERT ON public.transfer DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.kind = 'expiry'::text)) EXECUTE FUNCTION expiry_is_kept();

CREATE TRIGGER older_programs_settle_no_dated_credit BEFORE INSERT ON public.transfer FOR EACH ROW WHEN (((new.kind = 'settle'::text) AND (new.knows_expiry IS NULL))) EXECUTE FUNCTION older_programs_settle_no_dated_credit();

CREATE TRIGGER transfer_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.transfer FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

CREATE CONSTRAINT TRIGGER transfer_summed AFTER INSERT ON public.transfer DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.kind <> ALL (ARRAY['hold'::text, 'settle'::text, 'rebate'::text]))) EXECUTE FUNCTION transfer_is_summed();

CREATE CONSTRAINT TRIGGER video_change_is_counted AFTER UPDATE OF status ON public.video DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.status <> new.status) AND (NOT ((old.status = ANY (ARRAY['dispatched'::text, 'running'::text])) AND (new.status = ANY (ARRAY['dispatched'::text, 'running'::text])))))) EXECUTE FUNCTION count_changed_video();

CREATE CONSTRAINT TRIGGER video_end_summed AFTER UPDATE OF ended_at ON public.video DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.ended_at IS DISTINCT FROM new.ended_at)) EXECUTE FUNCTION video_end_is_summed();

CREATE TRIGGER video_inserted_is_counted AFTER INSERT ON public.video REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_videos();

CREATE TRIGGER worker_reads_the_queue_of_its_pool BEFORE INSERT ON public.worker FOR EACH ROW WHEN ((new.queue IS NULL)) EXECUTE FUNCTION worker_queue_of_pool();
