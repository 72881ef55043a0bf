import { type Database, one } from '../db/database.ts'
import type { WebhookEvent } from './event.ts'
import type { Try } from './send-event.ts'

/** A try that was neither recorded nor handed back in this time was lost with its process. */
const LEASE_SECONDS = 30
const RETENTION_DAYS = 30
const PRUNE_BATCH = 1_000

/** A delivery this process sends now. */
export interface Claimed {
  id: string
  /** This try's number; it tells this claim from a later one. */
  attempts: number
  failures: number
  account_id: string
  lane: string
  event: WebhookEvent
  /** Where to and with what; null for the video's own webhook_url, which the account's secret signs. */
  endpoint: { url: string; secret: string; previous_secret: string | null; is_closed: boolean } | null
  url: string | null
}

/** How much may be under way at once, and how much is. */
export interface Capacity {
  total: number
  perLane: number
  perAccount: number
  byLane: ReadonlyMap<string, number>
  byAccount: ReadonlyMap<string, number>
}

/**
 * Takes what is due, at most as much as there is capacity for, the longest due first. Lanes are jumped through one by one and
 * give their own head, so a lane whose backlog is due over and over keeps nobody else from being seen.
 */
export async function claimDue(db: Database, capacity: Capacity): Promise<Claimed[]> {
  const { rows } = await db.query<ClaimedRow>({
    name: 'webhook-claim',
    text: `with recursive lanes as (
      (select lane from webhook_delivery where status = 'pending' order by lane limit 1)
      union all
      select (select d.lane from webhook_delivery d where d.status = 'pending' and d.lane > l.lane order by d.lane limit 1)
      from lanes l where l.lane is not null),
    candidate as materialized (
      select d.id, d.account_id, d.due_at
      from lanes l left join unnest($1::text[], $2::int[]) as sending (lane, count) on sending.lane = l.lane
      cross join lateral (
        select id, account_id, due_at from webhook_delivery where status = 'pending' and lane = l.lane and due_at <= now()
        order by due_at limit greatest(0, $3 - coalesce(sending.count, 0)) for update skip locked) d
      where l.lane is not null),
    ranked as (select id, account_id, due_at, row_number() over (partition by account_id order by due_at) as rank from candidate),
    due as (
      select ranked.id from ranked left join unnest($4::text[], $5::int[]) as sending (account_id, count) using (account_id)
      where rank <= $6 - coalesce(sending.count, 0) order by due_at limit $7),
    claimed as (
      update webhook_delivery d set attempts = attempts + 1, due_at = now() + make_interval(secs => $8)
      from due where d.id = due.id returning d.*)
    select c.id, c.attempts, c.failures, c.account_id, c.lane, c.url, e.id as event_id, e.type, e.subject_id, e.created_at,
      w.id is not null as has_endpoint, w.url as endpoint_url, w.secret,
      case when w.previous_secret_until > now() then w.previous_secret end as previous_secret,
      w.disabled_at is not null or w.deleted_at is not null as is_closed
    from claimed c join webhook_event e on e.id = c.event_id left join webhook_endpoint w on w.id = c.endpoint_id`,
    values: [
      [...capacity.byLane.keys()],
      [...capacity.byLane.values()],
      capacity.perLane,
      [...capacity.byAccount.keys()],
      [...capacity.byAccount.values()],
      capacity.perAccount,
      capacity.total,
      LEASE_SECONDS,
    ],
  })
  return rows.map(claimedOf)
}

interface ClaimedRow extends Omit<Claimed, 'event' | 'endpoint'>, Omit<WebhookEvent, 'id'> {
  event_id: string
  has_endpoint: boolean
  endpoint_url: string
  secret: string
  previous_secret: string | null
  is_closed: boolean
}

function claimedOf(row: ClaimedRow): Claimed {
  const { id, attempts, failures, account_id, lane, url } = row
  return {
    id,
    attempts,
    failures,
    account_id,
    lane,
    url,
    event: { id: row.event_id, type: row.type, subject_id: row.subject_id, created_at: row.created_at },
    endpoint: row.has_endpoint
      ? {
          url: row.endpoint_url,
          secret: row.secret,
          previous_secret: row.previous_secret,
          is_closed: row.is_closed,
        }
      : null,
  }
}

/** Milliseconds until something that is not due yet will be, by the database's clock; null when nothing waits. */
export async function nextDueMs(db: Database): Promise<number | null> {
  const { wait_ms } = one(
    await db.query<{ wait_ms: number | null }>({
      name: 'webhook-next-due',
      text: `select extract(epoch from min(due_at) - now())::float8 * 1000 as wait_ms from webhook_delivery
      where status = 'pending' and due_at > now()`,
    }),
  )
  return wait_ms === null ? null : Math.max(0, Math.ceil(wait_ms))
}

/** Writes a try down, and when to try next: never after the delivery's 72 hours. */
export async function recordTry(
  db: Database,
  claimed: Pick<Claimed, 'id' | 'attempts'>,
  attempt: Try,
  retryInMs: number,
): Promise<void> {
  await db.query({
    name: 'webhook-record',
    text: `with a as (
      insert into webhook_attempt (delivery_id, attempt, started_at, duration_ms, status_code, error) values ($1, $2, $3, $4, $5, $6))
    update webhook_delivery set
      status = case when $6::text is null then 'delivered' when now() + make_interval(secs => $7) > expires_at then 'failed' else 'pending' end,
      due_at = case when $6 is null or now() + make_interval(secs => $7) > expires_at then null else now() + make_interval(secs => $7) end,
      failures = case when $6 is null then 0 else failures + 1 end
    where id = $1 and status = 'pending' and (attempts = $2 or $6 is null)`,
    values: [
      claimed.id,
      claimed.attempts,
      attempt.startedAt,
      attempt.durationMs,
      attempt.statusCode,
      attempt.error,
      retryInMs / 1_000,
    ],
  })
}

/** Ends a delivery that has nowhere to go any more. */
export async function closeDelivery(db: Database, claimed: Pick<Claimed, 'id'>): Promise<void> {
  await db.query({
    name: 'webhook-close',
    text: `update webhook_delivery set status = 'failed', due_at = null where id = $1 and status = 'pending'`,
    values: [claimed.id],
  })
}

/** Gives a claim back at once, for another process to send. */
export async function handBack(db: Database, claimed: Pick<Claimed, 'id' | 'attempts'>): Promise<void> {
  await db.query({
    text: `update webhook_delivery set due_at = now() where id = $1 and attempts = $2 and status = 'pending'`,
    values: [claimed.id, claimed.attempts],
  })
}

/** Forgets events that are older than the log is kept for, with their deliveries. */
export async function pruneEvents(db: Database): Promise<void> {
  await db.query({
    text: `delete from webhook_event where id in (
      select id from webhook_event where created_at < now() - make_interval(days => $1) order by created_at limit $2)`,
    values: [RETENTION_DAYS, PRUNE_BATCH],
  })
}
