import type { Clock } from '@sluice/shared/clock'
import { isId, newId } from '@sluice/shared/ids'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { OutgoingRules } from '../outgoing/outgoing-url.ts'
import { type DeliveryTry, tryDelivery } from './delivery-try.ts'
import type { Endpoint } from './endpoint-store.ts'
import { WEBHOOK_CHANNEL } from './enqueue.ts'
import { endpointQueue, type WebhookEvent } from './event.ts'
import { secretsOf } from './secret.ts'

/** One event on its way to one endpoint or webhook_url, with the delivery tries that ended. */
export interface Delivery {
  id: string
  endpoint_id: string | null
  url: string
  event: WebhookEvent
  status: 'pending' | 'delivered' | 'failed'
  due_at: Date | null
  created_at: Date
  tries: {
    attempt: number
    started_at: Date
    duration_ms: number
    status_code: number | null
    error: string | null
  }[]
}

interface DeliveryRow extends Omit<Delivery, 'event' | 'tries'> {
  event_id: string
  type: WebhookEvent['type']
  subject_id: string
  data: WebhookEvent['data']
  event_created_at: Date
  tries: (Omit<Delivery['tries'][number], 'started_at'> & { started_at: string })[]
}

const SELECT = `select d.id, d.endpoint_id, coalesce(d.url, w.url) as url, d.status, d.due_at, d.created_at,
      e.id as event_id, e.type, e.subject_id, e.data, e.created_at as event_created_at,
      (
        select coalesce(
          json_agg(
            json_build_object(
              'attempt', attempt,
              'started_at', started_at,
              'duration_ms', duration_ms,
              'status_code', status_code,
              'error', error
            ) order by attempt
          ),
          '[]')
        from webhook_attempt
        where delivery_id = d.id
      ) as tries
    from webhook_delivery d
    join webhook_event e on e.id = d.event_id
    left join webhook_endpoint w on w.id = d.endpoint_id`

export interface DeliveryPage {
  deliveries: Delivery[]
  hasMore: boolean
}

/**
 * A page of an account's deliveries, newest first: those of one endpoint, or all. `after` is the last id of
 * the page before. Throws SluiceError `not_found` when there is no such delivery.
 */
export async function listDeliveries(
  db: Database,
  accountId: string,
  page: { endpointId: string | null; after: string | undefined; limit: number },
): Promise<DeliveryPage> {
  if (page.after !== undefined && (await findDelivery(db, accountId, page.after)) === null) {
    throw new SluiceError(
      'not_found',
      'No such delivery: after is the id of the last delivery of the page before.',
      'after',
    )
  }
  const { rows } = await db.query<DeliveryRow>({
    text: `${SELECT}
    where d.account_id = $1 and ($2::text is null or d.endpoint_id = $2) and ($3::text is null or d.id < $3)
    order by d.id desc
    limit $4`,
    values: [accountId, page.endpointId, page.after ?? null, page.limit + 1],
  })
  return { deliveries: rows.slice(0, page.limit).map(deliveryOf), hasMore: rows.length > page.limit }
}

/**
 * Starts a delivery again, whatever its status: it is due now, and tried for 72 hours; a pause that its
 * endpoint asked for is over. Throws SluiceError `not_found`, or `state_conflict` when its endpoint is
 * disabled or deleted.
 */
export async function redeliver(db: Database, accountId: string, deliveryId: string): Promise<Delivery> {
  const known = await findDelivery(db, accountId, deliveryId)
  if (known === null) throw new SluiceError('not_found', 'No such webhook delivery.', 'id')
  const { rowCount } = await db.query({
    text: `update webhook_delivery d set
      status = 'pending',
      due_at = now(),
      expires_at = now() + interval '72 hours',
      failures = 0
    where id = $1 and (
      endpoint_id is null or exists (
        select from webhook_endpoint w
        where w.id = d.endpoint_id and w.disabled_at is null and w.deleted_at is null
      )
    )`,
    values: [deliveryId],
  })
  if (rowCount === 0)
    throw new SluiceError(
      'state_conflict',
      'The endpoint of this delivery is disabled or deleted: enable it first.',
    )
  await db.query({
    text: `with resumed as (
      update webhook_endpoint set paused_until = null where id = $1 and paused_until is not null
    )
    select pg_notify('${WEBHOOK_CHANNEL}', '')`,
    values: [known.endpoint_id],
  })
  return (await findDelivery(db, accountId, deliveryId)) ?? known
}

/**
 * Sends an event to an endpoint now, once, and returns the delivery, which is stored like any other. The
 * event is `webhook.test`, or the `sample`.
 */
export async function testEndpoint(
  db: Database,
  endpoint: Endpoint,
  by: { clock: Clock; rules: OutgoingRules },
  sample: Pick<WebhookEvent, 'type' | 'subject_id' | 'data'> | null,
): Promise<Delivery> {
  const about = sample ?? { type: 'webhook.test' as const, subject_id: endpoint.id, data: null }
  const event: WebhookEvent = { ...about, id: newId('evt'), created_at: new Date(by.clock.now()) }
  const deliveryTry = await tryDelivery({ url: endpoint.url, secrets: secretsOf(endpoint) }, event, by)
  const id = await insertEnded(db, endpoint, event, deliveryTry)
  const delivery = await findDelivery(db, endpoint.account_id, id)
  if (delivery === null) throw new Error(`delivery ${id} is gone`)
  return delivery
}

/** Stores an event with a delivery that ended with its first try. Returns the delivery's id. */
async function insertEnded(
  db: Database,
  endpoint: Endpoint,
  event: WebhookEvent,
  deliveryTry: DeliveryTry,
): Promise<string> {
  const id = newId('whd')
  await db.query({
    text: `with e as (
      insert into webhook_event (id, account_id, type, subject_id, created_at, data)
      values ($1, $2, $11, $3, $4, $13)
    ),
    d as (
      insert into webhook_delivery
        (id, event_id, account_id, endpoint_id, lane, due_at, attempts, status, failures)
      values ($5, $1, $2, $12, $6, null, 1,
        case when $10::text is null then 'delivered' else 'failed' end,
        case when $10 is null then 0 else 1 end)
    )
    insert into webhook_attempt (delivery_id, attempt, started_at, duration_ms, status_code, error)
    values ($5, 1, $7, $8, $9, $10)`,
    values: [
      event.id,
      endpoint.account_id,
      event.subject_id,
      event.created_at,
      id,
      endpointQueue(endpoint.id),
      deliveryTry.startedAt,
      deliveryTry.durationMs,
      deliveryTry.statusCode,
      deliveryTry.error,
      event.type,
      endpoint.id,
      event.data === null ? null : JSON.stringify(event.data),
    ],
  })
  return id
}

async function findDelivery(db: Database, accountId: string, deliveryId: string): Promise<Delivery | null> {
  if (!isId('whd', deliveryId)) return null
  const { rows } = await db.query<DeliveryRow>({
    text: `${SELECT} where d.id = $1 and d.account_id = $2`,
    values: [deliveryId, accountId],
  })
  return rows[0] === undefined ? null : deliveryOf(rows[0])
}

function deliveryOf(row: DeliveryRow): Delivery {
  const { id, endpoint_id, url, status, due_at, created_at } = row
  return {
    id,
    endpoint_id,
    url,
    status,
    due_at,
    created_at,
    event: {
      id: row.event_id,
      type: row.type,
      subject_id: row.subject_id,
      data: row.data,
      created_at: row.event_created_at,
    },
    tries: row.tries.map((ended) => ({ ...ended, started_at: new Date(ended.started_at) })),
  }
}
