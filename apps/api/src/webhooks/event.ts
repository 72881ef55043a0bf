import { createHash } from 'node:crypto'

export const VIDEO_EVENTS = ['video.completed', 'video.failed', 'video.promise_missed'] as const
export type VideoEvent = (typeof VIDEO_EVENTS)[number]
const BALANCE_EVENTS = ['balance.low', 'balance.exhausted'] as const
export type BalanceEvent = (typeof BALANCE_EVENTS)[number]
/** Events that an endpoint can ask for. */
export const ENDPOINT_EVENTS = [...VIDEO_EVENTS, ...BALANCE_EVENTS] as const
export type EndpointEvent = (typeof ENDPOINT_EVENTS)[number]
export type EventType = EndpointEvent | 'webhook.test'

/** A row of table webhook_event, as far as receivers see it. */
export interface WebhookEvent {
  id: string
  type: EventType
  /** The id of the video, of the account whose balance it is, or of the endpoint under test. */
  subject_id: string
  /** What `data` says besides the id; null = nothing. */
  data: BalanceEventData | null
  created_at: Date
}

/** An amount of money, as the API shows it. */
interface EventMoney {
  amount: string
  currency: string
}

/** What an event of a balance says besides the account's id. */
export interface BalanceEventData {
  /** What could be spent when it was sent. */
  balance: EventMoney
  /** The threshold of the account; null = none. */
  balance_low: EventMoney | null
}

/** The body that is sent: the same bytes in every delivery try. */
export function eventJson(event: WebhookEvent): {
  id: string
  object: 'event'
  type: EventType
  created_at: number
  data: { id: string } & Partial<BalanceEventData>
} {
  return {
    id: event.id,
    object: 'event',
    type: event.type,
    created_at: Math.floor(event.created_at.getTime() / 1_000),
    data: { id: event.subject_id, ...event.data },
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
