import { createHash } from 'node:crypto'

/** What an endpoint can ask for. */
export const VIDEO_EVENTS = ['video.completed', 'video.failed'] as const
export type VideoEvent = (typeof VIDEO_EVENTS)[number]
export type EventType = VideoEvent | 'webhook.test'

/** A row of table webhook_event, as far as receivers see it. */
export interface WebhookEvent {
  id: string
  type: EventType
  /** The video, or the endpoint under test. */
  subject_id: string
  created_at: Date
}

/** What is sent: the same bytes with every try. */
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

const URL_LANES = 16

/** What a delivery waits behind: an endpoint's own line. */
export function endpointLane(endpointId: string): string {
  return endpointId
}

/** Hosts of one account's webhook_urls share a few lines, so that nobody opens lines without end. */
export function urlLane(accountId: string, url: string): string {
  const digest = createHash('sha256').update(new URL(url).host).digest()
  return `${accountId}/${digest.readUInt16BE(0) % URL_LANES}`
}
