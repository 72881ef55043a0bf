import { type Database, one } from '../db/database.ts'
import type { DeliveryTry } from './delivery-try.ts'
import type { WebhookEvent } from './event.ts'

/** After this long, a claimed delivery neither recorded nor handed back was lost with its process. */
const LEASE_SECONDS = 30
const PRUNE_BATCH = 1_000

/** A delivery that this process sends now. */
export interface ClaimedDelivery {
  id: string
  /** The number of this try; it tells this claim from a later one. */
  attempts: number
  failures: number
  account_id: string
  queue: string
  event: WebhookEvent
  /** The endpoint it goes to; null for the webhook_url of a video, which the account's secret signs. */
  endpoint: { url: string; secret: string; previous_secret: string | null; is_closed: boolean } | null
  url: string | null
}

/** How many deliveries may be in flight at a time, and how many are. */
export interface Capacity {
  total: number
  perQueue: number
  perAccount: number
  inFlightByQueue: ReadonlyMap<string, number>
  inFlightByAccount: ReadonlyMap<string, number>
}

/** $1 to $3: in flight by queue, most per queue; $4 to $6: the same by account; $7: all; $8: lease. */
const CLAIM_SQL = `
  with recursive lanes as (
    -- every queue with a pending delivery, one index look-up each
    (select lane from webhook_delivery where status = 'pending' order by lane limit 1)
    union all
    select (
      select d.lane from webhook_delivery d
      where d.status = 'pending' and d.lane > l.lane
      order by d.lane
      limit 1
    )
    from lanes l
    where l.lane is not null
  ),
  -- of each queue, as many as it still has capacity for
  candidate as materialized (
    select d.id, d.account_id, d.due_at
    from lanes l
    left join unnest($1::text[], $2::int[]) as sending (lane, count) on sending.lane = l.lane
    -- the queue of an endpoint is named by its id
    left join webhook_endpoint paused on paused.id = l.lane and paused.paused_until > now()
    cross join lateral (
      select id, account_id, due_at
      from webhook_delivery
      where status = 'pending' and lane = l.lane and due_at <= now()
      order by due_at
      limit greatest(0, $3 - coalesce(sending.count, 0))
      for update skip locked
    ) d
    where l.lane is not null and paused.id is null
  ),
  ranked as (
    select id, account_id, due_at,
      row_number() over (partition by account_id order by due_at) as rank
    from candidate
  ),
  -- of these, as many as each account and this process still have capacity for
  due as (
    select ranked.id
    from ranked
    left join unnest($4::text[], $5::int[]) as sending (account_id, count) using (account_id)
    where rank <= $6 - coalesce(sending.count, 0)
    order by due_at
    limit $7
  ),
  claimed as (
    update webhook_delivery d set attempts = attempts + 1, due_at = now() + make_interval(secs => $8)
    from due
    where d.id = due.id
    returning d.*
  )
  select c.id, c.attempts, c.failures, c.account_id, c.lane as queue, c.url,
    e.id as event_id, e.type, e.subject_id, e.data, e.created_at,
    w.id is not null as has_endpoint, w.url as endpoint_url, w.secret,
    case when w.previous_secret_until > now() then w.previous_secret end as previous_secret,
    w.disabled_at is not null or w.deleted_at is not null as is_closed
  from claimed c
  join webhook_event e on e.id = c.event_id
  left join webhook_endpoint w on w.id = c.endpoint_id`

/**
 * Claims deliveries that are due, those that have been due longest first, at most as many as there is
 * capacity for. The statement visits every queue and takes the first of each, so that the backlog of one
 * queue hides no other.
 */
export async function claimDue(db: Database, capacity: Capacity): Promise<ClaimedDelivery[]> {
  const { rows } = await db.query<ClaimedRow>({
    name: 'webhook-claim',
    text: CLAIM_SQL,
    values: [
      [...capacity.inFlightByQueue.keys()],
      [...capacity.inFlightByQueue.values()],
      capacity.perQueue,
      [...capacity.inFlightByAccount.keys()],
      [...capacity.inFlightByAccount.values()],
      capacity.perAccount,
      capacity.total,
      LEASE_SECONDS,
    ],
  })
  return rows.map(claimedOf)
}

interface ClaimedRow extends Omit<ClaimedDelivery, 'event' | 'endpoint'>, Omit<WebhookEvent, 'id'> {
  event_id: string
  has_endpoint: boolean
  endpoint_url: string
  secret: string
  previous_secret: string | null
  is_closed: boolean
}

function claimedOf(row: ClaimedRow): ClaimedDelivery {
  const { id, attempts, failures, account_id, queue, url } = row
  return {
    id,
    attempts,
    failures,
    account_id,
    queue,
    url,
    event: {
      id: row.event_id,
      type: row.type,
      subject_id: row.subject_id,
      data: row.data,
      created_at: row.created_at,
    },
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

/** Milliseconds, by the database's clock, until the next pending delivery is due; null when there is none. */
export async function nextDueMs(db: Database): Promise<number | null> {
  const { wait_ms } = one(
    await db.query<{ wait_ms: number | null }>({
      name: 'webhook-next-due',
      text: `select extract(epoch from min(due_at) - now())::float8 * 1000 as wait_ms
      from webhook_delivery
      where status = 'pending' and due_at > now()`,
    }),
  )
  return wait_ms === null ? null : Math.max(0, Math.ceil(wait_ms))
}

/**
 * Records a delivery try and schedules the next one after a failure, unless the delivery's 72 hours are over
 * by then. A try that failed counts only while its claim is the newest; one that
 * delivered always counts.
 */
export async function recordTry(
  db: Database,
  claimed: Pick<ClaimedDelivery, 'id' | 'attempts'>,
  deliveryTry: DeliveryTry,
  retryInMs: number,
): Promise<void> {
  await db.query({
    name: 'webhook-record',
    text: `with a as (
      insert into webhook_attempt (delivery_id, attempt, started_at, duration_ms, status_code, error)
      values ($1, $2, $3, $4, $5, $6)
    )
    update webhook_delivery set
      status = case
        when $6::text is null then 'delivered'
        when now() + make_interval(secs => $7) > expires_at then 'failed'
        else 'pending'
      end,
      due_at = case
        when $6 is null or now() + make_interval(secs => $7) > expires_at then null
        else now() + make_interval(secs => $7)
      end,
      failures = case when $6 is null then 0 else failures + 1 end
    where id = $1 and (status = 'pending' and attempts = $2 or status <> 'delivered' and $6 is null)`,
    values: [
      claimed.id,
      claimed.attempts,
      deliveryTry.startedAt,
      deliveryTry.durationMs,
      deliveryTry.statusCode,
      deliveryTry.error,
      retryInMs / 1_000,
    ],
  })
}

/**
 * Sends nothing more to the endpoint of a delivery for that long: its Retry-After asked for it. A webhook_url
 * has no pause of its own, since its queue is shared with other hosts: there the delivery alone waits.
 */
export async function pauseEndpoint(
  db: Database,
  claimed: Pick<ClaimedDelivery, 'queue'>,
  ms: number,
): Promise<void> {
  await db.query({
    name: 'webhook-pause',
    text: `update webhook_endpoint
    set paused_until = greatest(paused_until, now() + make_interval(secs => $2))
    where id = $1`,
    values: [claimed.queue, ms / 1_000],
  })
}

/** Ends a delivery whose endpoint is disabled or deleted: it fails. */
export async function closeDelivery(db: Database, claimed: Pick<ClaimedDelivery, 'id'>): Promise<void> {
  await db.query({
    name: 'webhook-close',
    text: `update webhook_delivery set status = 'failed', due_at = null where id = $1 and status = 'pending'`,
    values: [claimed.id],
  })
}

/** Gives up a claim, so that another process can send the delivery at once. */
export async function handBack(
  db: Database,
  claimed: Pick<ClaimedDelivery, 'id' | 'attempts'>,
): Promise<void> {
  await db.query({
    text: `update webhook_delivery set due_at = now() where id = $1 and attempts = $2 and status = 'pending'`,
    values: [claimed.id, claimed.attempts],
  })
}

/**
 * Deletes a batch of events older than `days`, with their deliveries. Returns whether there may be more.
 * Several processes may do so at once: each takes other events.
 */
export async function pruneEvents(db: Database, days: number): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'webhook-prune',
    text: `delete from webhook_event
    where id in (
      select id from webhook_event
      where created_at < now() - make_interval(days => $1)
      order by created_at
      limit $2
      for update skip locked
    )`,
    values: [days, PRUNE_BATCH],
  })
  return rowCount === PRUNE_BATCH
}
