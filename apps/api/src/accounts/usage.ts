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
  completed: string
  failed: string
  cancelled: string
  tokens: string
  cost: string
}

const PARTS: Record<UsageGroup, { part: string; name: string }> = {
  day: { part: `to_char(u.at at time zone 'UTC', 'YYYY-MM-DD')`, name: 'null::text' },
  key: { part: 'u.key_id', name: '(select k.name from api_key k where k.id = u.key_id)' },
  model: { part: 'u.model', name: 'null::text' },
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** A piece of a range and where its usage is read: in kept sums of whole days or hours, or in the videos. */
export interface UsagePiece {
  source: 'day' | 'hour' | 'video'
  from: Date
  /** Null: without an end. */
  to: Date | null
}

/**
 * Cuts [from, to) so that whole UTC days and hours are read from their sums, and no more than two pieces of
 * less than an hour from the videos. Pure.
 */
export function usagePieces({ from, to }: { from: Date; to: Date | null }): UsagePiece[] {
  return cut([from.getTime(), to?.getTime() ?? Number.POSITIVE_INFINITY], ['day', 'hour', 'video'])
}

const SPAN_MS = { day: DAY_MS, hour: HOUR_MS, video: 1 } as const

function cut(
  [from, to]: [number, number],
  [source = 'video', ...finer]: readonly UsagePiece['source'][],
): UsagePiece[] {
  const first = Math.ceil(from / SPAN_MS[source]) * SPAN_MS[source]
  const last = Math.floor(to / SPAN_MS[source]) * SPAN_MS[source]
  if (first >= last) return from < to && finer.length > 0 ? cut([from, to], finer) : []
  const whole = {
    source,
    from: new Date(first),
    to: last === Number.POSITIVE_INFINITY ? null : new Date(last),
  }
  return [...cut([from, first], finer), whole, ...cut([last, to], finer)]
}

const SUM_SQL = 'key_id, model, starts_at as at, completed, failed, cancelled, tokens, charged_micros'
const VIDEO_SQL = `key_id, model, ended_at,
      (status = 'completed')::int, (status = 'failed')::int, (status = 'cancelled')::int,
      video_tokens * charged_steps, charged_micros`

/** Selects a piece; `$1` is the account, `$number` and the one after it the piece's ends. */
function pieceSql({ source }: UsagePiece, number: number): string {
  const within = (column: string) => `${column} >= $${number} and ${column} < $${number + 1}`
  return source === 'video'
    ? `select ${VIDEO_SQL} from video where account_id = $1 and ${within('ended_at')}`
    : `select ${SUM_SQL} from usage_sum
      where account_id = $1 and span = '${source}' and ${within('starts_at')}`
}

/**
 * An account's usage by day, key or model: videos that ended from `from` until just before `to`, or until now
 * when it is null. The ledger charged them when they ended, so the sums are the ledger's to the last
 * micro-unit.
 */
export async function readUsage(
  db: Database,
  accountId: string,
  range: { from: Date; to: Date | null },
  group: UsageGroup,
): Promise<{ rows: UsageRow[]; total: UsageCounts }> {
  const { part, name } = PARTS[group]
  const pieces = usagePieces(range)
  const { rows } =
    pieces.length === 0
      ? { rows: [] }
      : await db.query<Row>({
          text: `select ${part} as part, ${name} as key_name,
            sum(completed)::text as completed, sum(failed)::text as failed,
            sum(cancelled)::text as cancelled,
            sum(tokens)::text as tokens, sum(charged_micros)::text as cost
          from (
            ${pieces.map((piece, index) => pieceSql(piece, 2 + 2 * index)).join(' union all ')}
          ) u(key_id, model, at, completed, failed, cancelled, tokens, charged_micros)
          group by 1, 2 order by 1`,
          values: [accountId, ...pieces.flatMap((piece) => [piece.from, piece.to ?? 'infinity'])],
        })
  const usage = rows.map(usageRowOf)
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

function usageRowOf(row: Row): UsageRow {
  const [completed, failed, cancelled] = [BigInt(row.completed), BigInt(row.failed), BigInt(row.cancelled)]
  return {
    group: row.part,
    keyName: row.key_name,
    videos: completed + failed + cancelled,
    completed,
    failed,
    cancelled,
    tokens: BigInt(row.tokens),
    costMicros: BigInt(row.cost),
  }
}

/** What was ever charged for an account's videos, in micro-units. */
export async function readChargedMicros(db: Database, accountId: string): Promise<bigint> {
  const { charged } = one(
    await db.query<{ charged: string }>({
      name: 'charged-ever',
      text: `select coalesce(sum(charged_micros), 0)::text as charged from usage_sum
      where account_id = $1 and span = 'ever'`,
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
  const begins = (unit: string) => `date_trunc('${unit}', now(), 'UTC')`
  const since = (unit: string) =>
    `coalesce(sum(charged_micros) filter (where span = 'day' and starts_at >= ${begins(unit)}), 0)::text`
  const row = one(
    await db.query<{ total: string; day: string; week: string; month: string }>({
      name: 'key-spent',
      text: `select coalesce(sum(charged_micros) filter (where span = 'ever'), 0)::text as total,
        ${since('day')} as day, ${since('week')} as week, ${since('month')} as month
      from usage_sum
      where key_id = $1 and (
        span = 'ever' or span = 'day' and starts_at >= least(${begins('week')}, ${begins('month')}))`,
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
