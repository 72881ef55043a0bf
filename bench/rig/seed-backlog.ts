import { runSql } from './accounts.ts'

/**
 * Puts `queued` waiting and `ended` finished videos of `accounts` accounts into the tables, by SQL. Each has its hold and, when
 * it has ended, its settlement, of nothing: they are free of charge, so every invariant of the ledger holds. Ids are as old as
 * the installation, in the order of a real service: account by account in turn.
 */
export async function seedBacklog(
  databaseUrl: string,
  size: { queued: number; ended: number; accounts: number },
): Promise<void> {
  const total = size.queued + size.ended
  await runSql(databaseUrl, [
    `insert into account (id, name, queued_max) select 'acct_seed' || lpad(n::text, 8, '0'), 'seed', 100000000 from generate_series(0, ${size.accounts - 1}) n`,
    `insert into ledger_account (kind, account_id, currency, balance)
      select kind, 'acct_seed' || lpad(n::text, 8, '0'), 'USD', 0
      from generate_series(0, ${size.accounts - 1}) n, unnest(array['customer', 'trial', 'hold']) kind`,
    `insert into api_key (id, account_id, hash, prefix, scopes)
      select 'key_seed' || lpad(n::text, 8, '0'), 'acct_seed' || lpad(n::text, 8, '0'), sha256(('seed' || n)::bytea), 'seed', array['videos:write']
      from generate_series(0, ${size.accounts - 1}) n`,
    // The foreign key of each row would be looked up one by one at the commit; all of them hold by construction.
    'alter table transfer disable trigger all',
    `insert into video (id, account_id, key_id, status, model, service_tier, resolution, width, height, num_frames, num_steps, request, request_hash,
        video_tokens, currency, price_micros_per_million, multiplier_bps, hold_micros, charged_micros, charged_steps, error_code, ended_at,
        swept_at, created_at, execution_expires_at)
      select 'video_00' || lpad(n::text, 24, '0'), 'acct_seed' || lpad((n % ${size.accounts})::text, 8, '0'),
        'key_seed' || lpad((n % ${size.accounts})::text, 8, '0'), case when ended then 'cancelled' else 'queued' end, 'animatic', 'standard', '256px',
        336, 192, 5, 2, '{"model":"animatic","mode":"t2v","prompt":"seed","width":336,"height":192,"num_frames":5,"num_steps":2}',
        sha256(n::text::bytea), 504, 'USD', 0, 10000, 0, case when ended then 0 end, case when ended then 0 end,
        case when ended then 'cancelled' end, case when ended then now() end, case when ended then now() end,
        now() - interval '1 hour', now() + interval '1 day'
      from (select n, n < ${size.ended} as ended from generate_series(0, ${total - 1}) n) seed`,
    `insert into transfer (id, idempotency_key, kind, video_id)
      select 'txfr_h' || n, 'hold:video_00' || lpad(n::text, 24, '0'), 'hold', 'video_00' || lpad(n::text, 24, '0') from generate_series(0, ${total - 1}) n`,
    ...(size.ended === 0
      ? []
      : [
          `insert into transfer (id, idempotency_key, kind, video_id)
      select 'txfr_s' || n, 'settle:video_00' || lpad(n::text, 24, '0'), 'settle', 'video_00' || lpad(n::text, 24, '0')
      from generate_series(0, ${size.ended - 1}) n`,
        ]),
    'alter table transfer enable trigger all',
    'vacuum analyze',
  ])
}
