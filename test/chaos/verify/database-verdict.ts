import pg from 'pg'

/** A rule that every campaign must keep, and the rows that break it. */
interface Rule {
  name: string
  /** Returns the rows that break it, with what to show of them. */
  sql: string
}

const RULES: readonly Rule[] = [
  {
    name: 'every video has ended',
    sql: `select id as what, status as detail from video where status in ('queued', 'dispatched', 'running')`,
  },
  {
    name: 'no attempt is open',
    sql: `select video_id || '-' || fence as what, coalesce(phase, 'untaken') as detail
          from attempt where ended_at is null`,
  },
  {
    name: 'every video has exactly one hold and one settle',
    sql: `select v.id as what, count(*) filter (where t.kind = 'hold') || ' holds, '
                 || count(*) filter (where t.kind = 'settle') || ' settles' as detail
          from video v left join transfer t on t.video_id = v.id
          group by v.id
          having count(*) filter (where t.kind = 'hold') <> 1
            or count(*) filter (where t.kind = 'settle') <> 1`,
  },
  {
    name: 'a completed video is charged in full, but for a rebate, a failed one nothing, a cancelled one at most its hold',
    sql: `select id as what, status || ' charged ' || charged_micros || ' of ' || hold_micros as detail
          from video
          where (status = 'completed' and charged_micros + rebate_micros <> hold_micros)
             or (status = 'completed' and charged_steps <> num_steps)
             or (status = 'failed' and charged_micros <> 0)
             or charged_micros > hold_micros`,
  },
  {
    name: 'a promise is kept in time, void by a cancel, or missed and paid for once',
    sql: `select v.id as what, v.promise || ', ' || v.status || ', ' || count(t.id) || ' rebates of '
                 || v.rebate_micros as detail
          from video v left join transfer t on t.video_id = v.id and t.kind = 'rebate'
          where v.promise is not null
          group by v.id
          having not case v.promise
            when 'kept' then v.status = 'completed' and v.ended_at <= v.deliver_by and count(t.id) = 0
            when 'void' then v.status = 'cancelled' and count(t.id) = 0
            when 'missed' then (v.status = 'failed' or v.ended_at > v.deliver_by)
              and count(t.id) = (v.charged_micros > 0)::int and v.rebate_micros >= v.charged_micros - 1
            else false
          end`,
  },
  {
    name: 'revenue is the sum of the charges',
    sql: `select 'revenue' as what, revenue || ' instead of ' || charged as detail
          from (select coalesce(sum(e.amount), 0) as revenue
                from entry e join ledger_account a on a.id = e.ledger_account_id where a.kind = 'revenue') r,
               (select coalesce(sum(charged_micros), 0) as charged from video) c
          where revenue <> charged`,
  },
  {
    name: 'nothing is still held',
    sql: `select account_id as what, balance::text as detail from ledger_account
          where kind = 'hold' and balance <> 0`,
  },
  {
    name: 'at most one attempt of a video finished',
    sql: `select video_id as what, count(*)::text as detail from attempt
          where outcome = 'completed' group by video_id having count(*) > 1`,
  },
]

/** Each video that failed without being cancelled, with what its attempts ended with: nobody's wish. */
export async function findFailedVideos(adminUrl: string): Promise<string[]> {
  return withDatabase(adminUrl, async (client) => {
    const { rows } = await client.query<{ what: string }>(`
      select v.id || ': ' || v.error_code || ' after ' || coalesce(
        string_agg(coalesce(a.error_code, a.outcome, 'open') || ' (' || left(a.error_message, 90) || ')', ', '
          order by a.fence), 'nothing') as what
      from video v left join attempt a on a.video_id = v.id
      where v.status = 'failed'
      group by v.id`)
    return rows.map(({ what }) => what)
  })
}

/** Every rule that the rows break, with up to five of them. */
export async function findBrokenRules(adminUrl: string): Promise<string[]> {
  return withDatabase(adminUrl, async (client) => {
    const broken: string[] = []
    for (const { name, sql } of RULES) {
      const { rows } = await client.query<{ what: string; detail: string }>(sql)
      if (rows.length === 0) continue
      const shown = rows.slice(0, 5).map(({ what, detail }) => `${what} (${detail})`)
      broken.push(`${name}: broken by ${rows.length}: ${shown.join(', ')}`)
    }
    return broken
  })
}

export async function withDatabase<T>(adminUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
