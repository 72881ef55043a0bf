import { type Database, one } from '../db/database.ts'

export const USAGE_GROUPS = ['day', 'key', 'model'] as const
export type UsageGroup = (typeof USAGE_GROUPS)[number]

/** What ended and what was charged for it. */
export interface UsageCounts {
  videos: bigint
  completed: bigint
  failed: bigint
  cancelled: bigint
  /** Generated tokens charged. */
  tokens: bigint
  costMicros: bigint
}

export interface UsageRow extends UsageCounts {
  /** The UTC day (`2026-01-31`), the key's id or the model's. */
  group: string
  /** The key's name when grouped by key, else null. */
  keyName: string | null
}

interface Row {
  part: string
  key_name: string | null
  videos: bigint
  completed: bigint
  failed: bigint
  cancelled: bigint
  tokens: string
  cost: string
}

const PARTS: Record<UsageGroup, { part: string; name: string }> = {
  day: { part: `to_char(v.ended_at at time zone 'UTC', 'YYYY-MM-DD')`, name: 'null::text' },
  key: { part: 'v.key_id', name: '(select k.name from api_key k where k.id = v.key_id)' },
  model: { part: 'v.model', name: 'null::text' },
}

/**
 * An account's usage by day, key or model: videos that ended from `from` until just before `to`. The ledger
 * charged them when they ended, so the sums are the ledger's to the last micro-unit.
 */
export async function readUsage(
  db: Database,
  accountId: string,
  range: { from: Date; to: Date },
  group: UsageGroup,
): Promise<{ rows: UsageRow[]; total: UsageCounts }> {
  const { part, name } = PARTS[group]
  const { rows } = await db.query<Row>({
    text: `select ${part} as part, ${name} as key_name,
      count(*) as videos,
      count(*) filter (where v.status = 'completed') as completed,
      count(*) filter (where v.status = 'failed') as failed,
      count(*) filter (where v.status = 'cancelled') as cancelled,
      sum(v.video_tokens * v.charged_steps)::text as tokens,
      sum(v.charged_micros)::text as cost
    from video v
    where v.account_id = $1 and v.ended_at >= $2 and v.ended_at < $3
    group by 1, 2 order by 1`,
    values: [accountId, range.from, range.to],
  })
  const usage = rows.map((row) => ({
    group: row.part,
    keyName: row.key_name,
    videos: row.videos,
    completed: row.completed,
    failed: row.failed,
    cancelled: row.cancelled,
    tokens: BigInt(row.tokens),
    costMicros: BigInt(row.cost),
  }))
  const sum = (field: keyof UsageCounts) => usage.reduce((total, row) => total + row[field], 0n)
  return {
    rows: usage,
    total: {
      videos: sum('videos'),
      completed: sum('completed'),
      failed: sum('failed'),
      cancelled: sum('cancelled'),
      tokens: sum('tokens'),
      costMicros: sum('costMicros'),
    },
  }
}

/** What was ever charged for an account's videos, in micro-units. */
export async function readChargedMicros(db: Database, accountId: string): Promise<bigint> {
  const { charged } = one(
    await db.query<{ charged: string }>({
      text: `select coalesce(sum(charged_micros), 0)::text as charged from video
      where account_id = $1 and charged_micros > 0`,
      values: [accountId],
    }),
  )
  return BigInt(charged)
}

/**
 * What was charged for a key's videos in micro-units: ever, and this UTC day, week (from Monday) and month.
 */
export interface Spent {
  totalMicros: bigint
  dayMicros: bigint
  weekMicros: bigint
  monthMicros: bigint
}

/** Reads what a key has spent. */
export async function readSpent(db: Database, keyId: string): Promise<Spent> {
  const since = (unit: string) =>
    `coalesce(sum(charged_micros) filter (where ended_at >= date_trunc('${unit}', now(), 'UTC')), 0)::text`
  const row = one(
    await db.query<{ total: string; day: string; week: string; month: string }>({
      text: `select coalesce(sum(charged_micros), 0)::text as total,
        ${since('day')} as day, ${since('week')} as week, ${since('month')} as month
      from video where key_id = $1 and charged_micros > 0`,
      values: [keyId],
    }),
  )
  return {
    totalMicros: BigInt(row.total),
    dayMicros: BigInt(row.day),
    weekMicros: BigInt(row.week),
    monthMicros: BigInt(row.month),
  }
}

/** Whether the account ever paid: the first entry of its paid money can only be a top-up. */
export async function hasPaid(db: Database, accountId: string): Promise<boolean> {
  const { rowCount } = await db.query({
    text: `select from ledger_account a where a.account_id = $1 and a.kind = 'customer'
    and exists (select from entry e where e.ledger_account_id = a.id)`,
    values: [accountId],
  })
  return rowCount !== 0
}
