import { createHash } from 'node:crypto'

/** Events that an endpoint can ask for. */
export const VIDEO_EVENTS = ['video.completed', 'video.failed', 'video.promise_missed'] as const
export type VideoEvent = (typeof VIDEO_EVENTS)[number]
export type EventType = VideoEvent | 'webhook.test'

/** A row of table webhook_event, as far as receivers see it. */
export interface WebhookEvent {
  id: string
  type: EventType
  /** The id of the video, or of the endpoint under test. */
  subject_id: string
  created_at: Date
}

/** The body that is sent: the same bytes in every delivery try. */
export function eventJson(event: WebhookEvent): {
  id: string
  object: 'event'
  type: EventType
  created_at: number
  data: { id: string }
} {
  return {
    id: event.id,
    object: 'event',
    type: event.type,
    created_at: Math.floor(event.created_at.getTime() / 1_000),
    data: { id: event.subject_id },
  }
}

/**
 * The queue of an endpoint's deliveries. Deliveries wait only for others of their own queue (column `lane`),
 * so that a slow receiver delays nobody else's.
 */
export function endpointQueue(endpointId: string): string {
  return endpointId
}

const URL_QUEUES = 16

/**
 * The queue of deliveries to a webhook_url. Each account has 16, chosen by the URL's host, so that URLs
 * without end make no queues without end.
 */
export function urlQueue(accountId: string, url: string): string {
  const digest = createHash('sha256').update(new URL(url).host).digest()
  return `${accountId}/${digest.readUInt16BE(0) % URL_QUEUES}`
}
