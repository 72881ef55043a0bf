import { newId } from '@sluice/shared/ids'
import type { Database } from '../db/database.ts'
import { endpointLane, urlLane, type VideoEvent } from './event.ts'

/** The NOTIFY channel every process that sends listens on. */
export const WEBHOOK_CHANNEL = 'sluice_webhooks'

/**
 * Puts the event of a video's end into the outbox, in the transaction that ends it: sent if and only if that commits. One
 * delivery for each endpoint that asks for it, one for the video's own webhook_url; without any of these, nothing.
 */
export async function enqueueVideoEnd(
  db: Database,
  video: { id: string; account_id: string; webhook_url: string | null },
  type: VideoEvent,
): Promise<void> {
  const { rows } = await db.query<{ id: string }>({
    name: 'webhook-targets',
    text: `select id from webhook_endpoint where account_id = $1 and deleted_at is null and disabled_at is null and $2 = any (events)`,
    values: [video.account_id, type],
  })
  const targets: { endpointId: string | null; url: string | null; lane: string }[] = [
    ...rows.map(({ id }) => ({ endpointId: id, url: null, lane: endpointLane(id) })),
    ...(video.webhook_url === null
      ? []
      : [{ endpointId: null, url: video.webhook_url, lane: urlLane(video.account_id, video.webhook_url) }]),
  ]
  if (targets.length === 0) return
  await db.query({
    name: 'webhook-enqueue',
    text: `with e as (insert into webhook_event (id, account_id, type, subject_id) values ($1, $2, $3, $4)),
    d as (
      insert into webhook_delivery (id, event_id, account_id, endpoint_id, url, lane)
      select id, $1, $2, endpoint_id, url, lane
      from unnest($5::text[], $6::text[], $7::text[], $8::text[]) as t (id, endpoint_id, url, lane))
    select pg_notify('${WEBHOOK_CHANNEL}', '')`,
    values: [
      newId('evt'),
      video.account_id,
      type,
      video.id,
      targets.map(() => newId('whd')),
      targets.map(({ endpointId }) => endpointId),
      targets.map(({ url }) => url),
      targets.map(({ lane }) => lane),
    ],
  })
}
