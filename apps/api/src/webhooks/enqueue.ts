import { newId } from '@sluice/shared/ids'
import type { Database } from '../db/database.ts'
import {
  type BalanceEventData,
  type EndpointEvent,
  endpointQueue,
  urlQueue,
  type VideoEvent,
} from './event.ts'

/** The NOTIFY channel on which every process that sends webhooks listens. */
export const WEBHOOK_CHANNEL = 'sluice_webhooks'

/** Where a delivery goes: to an endpoint, or to the webhook_url of a video. */
interface Target {
  endpointId: string | null
  url: string | null
  queue: string
}

/**
 * Puts an event of a video into the outbox, in the transaction that makes it happen: it is sent if and only
 * if that commits. There is one delivery for each endpoint that asks for the event and, of its end, one for
 * the video's own webhook_url; without any of these nothing is written.
 */
export async function enqueueVideoEvent(
  db: Database,
  video: { id: string; account_id: string; webhook_url: string | null },
  type: VideoEvent,
): Promise<void> {
  const { id, account_id: accountId, webhook_url } = video
  const url = type === 'video.promise_missed' ? null : webhook_url
  await enqueueEvent(db, { type, accountId, subjectId: id, data: null, url })
}

interface NewEvent {
  type: EndpointEvent
  accountId: string
  subjectId: string
  data: BalanceEventData | null
  /** Where it goes besides to the endpoints that ask for it; null = nowhere. */
  url: string | null
}

/** Puts an event into the outbox, in the transaction that it tells of; without a receiver nothing. */
export async function enqueueEvent(db: Database, event: NewEvent): Promise<void> {
  const { type, accountId, subjectId, data, url } = event
  const { rows } = await db.query<{ id: string }>({
    name: 'webhook-targets',
    text: `select id
    from webhook_endpoint
    where account_id = $1 and deleted_at is null and disabled_at is null and $2 = any (events)`,
    values: [accountId, type],
  })
  const targets = rows.map(({ id }): Target => ({ endpointId: id, url: null, queue: endpointQueue(id) }))
  if (url !== null) targets.push({ endpointId: null, url, queue: urlQueue(accountId, url) })
  if (targets.length === 0) return
  await db.query({
    name: 'webhook-enqueue',
    text: `with e as (
      insert into webhook_event (id, account_id, type, subject_id, data) values ($1, $2, $3, $4, $9)
    ),
    d as (
      insert into webhook_delivery (id, event_id, account_id, endpoint_id, url, lane)
      select id, $1, $2, endpoint_id, url, lane
      from unnest($5::text[], $6::text[], $7::text[], $8::text[]) as t (id, endpoint_id, url, lane)
    )
    select pg_notify('${WEBHOOK_CHANNEL}', '')`,
    values: [
      newId('evt'),
      accountId,
      type,
      subjectId,
      targets.map(() => newId('whd')),
      targets.map((target) => target.endpointId),
      targets.map((target) => target.url),
      targets.map((target) => target.queue),
      data === null ? null : JSON.stringify(data),
    ],
  })
}
