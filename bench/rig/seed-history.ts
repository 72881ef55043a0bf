import pg from 'pg'

export interface HistorySize {
  /** Videos that ended, each with its attempt, transfers, webhook event and delivery. */
  ended: number
  /** Over so many days up to now, evenly. */
  days: number
  /** Beside `owner`, who has every second video. */
  accounts: number
  /** An account with one key that exists already. */
  owner: string
}

/** Tables that a life of a video writes to. */
export const LIFE_TABLES = [
  'video',
  'attempt',
  'transfer',
  'entry',
  'webhook_event',
  'webhook_delivery',
  'webhook_attempt',
  'usage_sum',
] as const

/** Of 100 videos so many fail or are cancelled; the others are completed. */
const FAILED = 3
const CANCELLED = 5
/** 504 video tokens, 10 steps, 0.2 of the currency per million: what a small animatic costs. */
const TOKENS = 504
const STEPS = 10
const HOLD = 1_008
const CANCELLED_STEPS = 4
const CANCELLED_CHARGE = 404
const TOP_UP = 1_000_000_000_000
/** Lives that a statement writes: what it sorts stays some hundred megabytes. */
const AT_ONCE = 250_000

/**
 * Writes a past by SQL, set by set: what the programs would have left behind, so that every invariant of the
 * ledger holds. Ids are older than any that the API gives. `databaseUrl` is the superuser's.
 */
export async function seedHistory(databaseUrl: string, size: HistorySize): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    for (const statement of [
      // No foreign keys, triggers and constraints: they hold by construction.
      'set session_replication_role = replica',
      'set synchronous_commit = off',
      `set maintenance_work_mem = '1GB'`,
      `set work_mem = '1GB'`,
      ...accountStatements(size),
    ])
      await client.query(statement)
    await withoutIndexes(client, async () => {
      await client.query(lifeTableStatement(size))
      for (let from = 0; from < size.ended; from += AT_ONCE) {
        for (const statement of lifeStatements(`l.n >= ${from} and l.n < ${from + AT_ONCE}`))
          await client.query(statement)
        if (from > 0) process.stderr.write(`seeded ${from + AT_ONCE} of ${size.ended}\n`)
      }
    })
    for (const statement of [...sumStatements(), 'drop table seed_account', 'drop table seed_life'])
      await client.query(statement)
    await client.query('vacuum analyze')
    await client.query('checkpoint')
  } finally {
    await client.end()
  }
}

/** Runs `work` without the indexes that are no constraints, and makes them afterwards: sorting is faster. */
async function withoutIndexes(client: pg.Client, work: () => Promise<void>): Promise<void> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition
    from pg_index i
    where i.indrelid = any ($1::regclass[])
      and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`,
    [LIFE_TABLES],
  )
  for (const { name } of rows) await client.query(`drop index ${name}`)
  await work()
  for (const { definition } of rows) await client.query(definition)
}

/** An id of that kind that is older than any the API gives. */
const id = (kind: string, number: string) => `'${kind}_00' || lpad((${number})::text, 24, '0')`

function accountStatements({ accounts, owner }: HistorySize): string[] {
  const numbers = `generate_series(1, ${accounts}) n`
  return [
    `insert into account (id, name) select ${id('acct', 'n')}, 'past ' || n from ${numbers}`,
    `insert into ledger_account (kind, account_id, currency, balance)
      select kind, ${id('acct', 'n')}, 'USD', 0
      from ${numbers}, unnest(array['customer', 'trial', 'hold']) kind`,
    `insert into api_key (id, account_id, hash, prefix, scopes)
      select ${id('key', 'n')}, ${id('acct', 'n')}, sha256(('past' || n)::bytea), 'past', array['videos:read']
      from ${numbers}`,
    `create table seed_account as
      select n, a.id as account_id, k.id as key_id, c.id as customer, h.id as hold
      from (
        select 0 as n, '${owner}' as id
        union all
        select n, ${id('acct', 'n')} from ${numbers}
      ) a
      cross join lateral (select id from api_key where account_id = a.id order by id limit 1) k
      join ledger_account c on c.account_id = a.id and c.kind = 'customer'
      join ledger_account h on h.account_id = a.id and h.kind = 'hold'`,
    `insert into transfer (id, idempotency_key, kind)
      select ${id('txfr', '900000000000 + n')}, 'past-' || n, 'top_up' from seed_account`,
    `insert into entry (transfer_id, ledger_account_id, amount)
      select ${id('txfr', '900000000000 + s.n')}, e.account, e.amount
      from seed_account s
      cross join lateral (values
        (s.customer, ${TOP_UP}),
        ((select id from ledger_account where kind = 'funding'), -${TOP_UP})) e(account, amount)`,
    `update ledger_account set balance = balance + ${TOP_UP} where id in (select customer from seed_account)`,
  ]
}

const REQUEST = JSON.stringify({
  model: 'animatic',
  mode: 't2v',
  prompt: 'A paper boat drifts along a rain gutter at dusk, street lights mirrored in the water, slow pan',
  negative_prompt: '',
  width: 336,
  height: 192,
  num_frames: 5,
  num_steps: STEPS,
  seed: 1,
  guidance: 7.5,
  guidance_img: 3,
  fps: 24,
})
const RESULT = JSON.stringify({
  steps_run: STEPS,
  steps: STEPS,
  files: { video: { bytes: 812_345 }, thumbnail: { bytes: 9_321 }, spritesheet: { bytes: 41_234 } },
  timings: { denoise: 4.2, decode: 0.3, encode: 0.4, upload: 0.2 },
  peak_vram_bytes: 0,
  seed: 1,
})

/** Of the rows of `seed_life` that `which` selects, as `l`. */
function lifeStatements(which: string): string[] {
  return [...videoStatements(which), ...moneyStatements(which), ...webhookStatements(which)]
}

function lifeTableStatement(size: HistorySize): string {
  return `create table seed_life as
      select g.n, s.n as account,
        case
          when g.n % 100 < ${FAILED} then 'failed'
          when g.n % 100 < ${FAILED + CANCELLED} then 'cancelled'
          else 'completed'
        end as status,
        now() - (${size.ended} - g.n) * (interval '${size.days} days' / ${size.ended}) as ended_at
      from generate_series(0, ${size.ended - 1}) g(n)
      join seed_account s on s.n = case when g.n % 2 = 0 then 0 else 1 + (g.n / 2) % ${size.accounts} end`
}

function videoStatements(which: string): string[] {
  return [
    `insert into video (
        id, account_id, key_id, status, model, service_tier, resolution, width, height, num_frames, num_steps,
        request, webhook_url, request_hash,
        video_tokens, currency, price_micros_per_million, multiplier_bps, hold_micros,
        charged_micros, charged_steps, fence, pool, step, output_prefix, error_code, error_message,
        created_at, started_at, ended_at, execution_expires_at, swept_at, swept_for_good_at)
      select ${id('video', 'l.n')}, s.account_id, s.key_id, l.status, 'animatic', 'standard', '256px',
        336, 192, 5, ${STEPS}, '${REQUEST}', 'https://example.com/hooks', sha256(l.n::text::bytea),
        ${TOKENS}, 'USD', 200000, 10000, ${HOLD}, c.charge, c.steps, 1, 'past', c.steps,
        case when l.status = 'completed' then 'videos/' || ${id('video', 'l.n')} || '/1-0123456789abcdef' end,
        case l.status when 'failed' then 'internal' when 'cancelled' then 'cancelled' end,
        case when l.status <> 'completed' then 'It was a test of a long history.' end,
        l.ended_at - interval '10 seconds', l.ended_at - interval '8 seconds', l.ended_at,
        l.ended_at + interval '1 day', l.ended_at + interval '1 minute', l.ended_at + interval '30 minutes'
      from seed_life l
      join seed_account s on s.n = l.account
      cross join lateral (select
        case l.status
          when 'failed' then 0 when 'cancelled' then ${CANCELLED_CHARGE} else ${HOLD} end as charge,
        case l.status
          when 'failed' then 0 when 'cancelled' then ${CANCELLED_STEPS} else ${STEPS} end as steps
      ) c
      where ${which}
      order by l.n`,
    `insert into attempt (
        video_id, fence, pool, queue, claim, worker_id, slot, devices, phase, step, boot,
        dispatched_at, taken_at, started_at, heartbeat_at, released_at, ended_at, outcome, result)
      select ${id('video', 'n')}, 1, 'past', 'past', md5(n::text), 'worker_past', 0, 1, 'denoise', ${STEPS},
        'boot', ended_at - interval '9 seconds', ended_at - interval '8.9 seconds',
        ended_at - interval '8 seconds', ended_at - interval '1 second', ended_at - interval '1 second',
        ended_at, status, case when status = 'completed' then '${RESULT}'::jsonb end
      from seed_life l
      where ${which}
      order by n`,
  ]
}

function moneyStatements(which: string): string[] {
  return [
    `insert into transfer (id, idempotency_key, kind, video_id, created_at)
      select ${id('txfr', '2 * l.n + k.n')}, k.kind || ':' || ${id('video', 'l.n')},
        k.kind, ${id('video', 'l.n')},
        l.ended_at - k.before
      from seed_life l
      cross join (values
        (0, 'hold', interval '10 seconds'), (1, 'settle', interval '0')) k(n, kind, before)
      where ${which}
      order by l.n, k.n`,
    `insert into entry (transfer_id, ledger_account_id, amount)
      select ${id('txfr', '2 * l.n + e.kind')}, e.account, e.amount
      from seed_life l
      join seed_account s on s.n = l.account
      cross join (select id from ledger_account where kind = 'revenue') r
      cross join lateral (values
        (0, s.customer, -${HOLD}),
        (0, s.hold, ${HOLD}),
        (1, s.hold, -${HOLD}),
        (1, r.id,
          case l.status when 'failed' then 0 when 'cancelled' then ${CANCELLED_CHARGE} else ${HOLD} end),
        (1, s.customer, case l.status
          when 'failed' then ${HOLD} when 'cancelled' then ${HOLD - CANCELLED_CHARGE} else 0 end)
      ) e(kind, account, amount)
      where e.amount <> 0 and ${which}
      order by l.n, e.kind`,
  ]
}

function webhookStatements(which: string): string[] {
  return [
    `insert into webhook_event (id, account_id, type, subject_id, created_at)
      select ${id('evt', 'l.n')}, s.account_id,
        case when l.status = 'completed' then 'video.completed' else 'video.failed' end,
        ${id('video', 'l.n')}, l.ended_at
      from seed_life l
      join seed_account s on s.n = l.account
      where ${which}
      order by l.n`,
    `insert into webhook_delivery (
        id, event_id, account_id, url, lane, status, due_at, attempts, created_at, expires_at)
      select ${id('whd', 'l.n')}, ${id('evt', 'l.n')}, s.account_id, 'https://example.com/hooks',
        s.account_id || '/1', 'delivered', null, 1, l.ended_at, l.ended_at + interval '72 hours'
      from seed_life l
      join seed_account s on s.n = l.account
      where ${which}
      order by l.n`,
    `insert into webhook_attempt (delivery_id, attempt, started_at, duration_ms, status_code)
      select ${id('whd', 'n')}, 1, ended_at, 12, 200
      from seed_life l
      where ${which}
      order by n`,
  ]
}

/** What the trigger of the videos' ends would have kept, and the balances. */
function sumStatements(): string[] {
  return [
    `insert into usage_sum
      select v.key_id, s.span, s.starts_at, v.model, v.account_id,
        count(*) filter (where v.status = 'completed'), count(*) filter (where v.status = 'failed'),
        count(*) filter (where v.status = 'cancelled'),
        sum(v.video_tokens * v.charged_steps), sum(v.charged_micros)
      from video v
      cross join lateral (values
        ('hour', date_trunc('hour', v.ended_at, 'UTC')), ('day', date_trunc('day', v.ended_at, 'UTC')),
        ('ever', '-infinity'::timestamptz)) s(span, starts_at)
      where v.ended_at is not null
      group by 1, 2, 3, 4, 5`,
    `update ledger_account a set balance = a.balance - u.micros
      from seed_account s
      join (select key_id, sum(charged_micros) as micros from usage_sum where span = 'ever' group by 1) u
        using (key_id)
      where a.id = s.customer`,
    // The ledger as a check of last night has left it: whole and proven up to here.
    `insert into proven_sum (ledger_account_id, amount, paid, granted)
      select e.ledger_account_id, sum(e.amount),
        coalesce(sum(e.amount) filter (where e.transfer_id >= ${id('txfr', '900000000000')}), 0), 0
      from entry e
      group by 1
      on conflict (ledger_account_id) do update set amount = excluded.amount, paid = excluded.paid`,
    `update ledger_proof set entry_id = (select max(id) from entry), proven_at = now()`,
  ]
}
