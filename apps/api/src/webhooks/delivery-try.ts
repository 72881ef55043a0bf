import type { Clock } from '@sluice/shared/clock'
import { guardedFetch } from '../outgoing/guarded-fetch.ts'
import { OutgoingError, type OutgoingRules } from '../outgoing/outgoing-url.ts'
import { eventJson, type WebhookEvent } from './event.ts'
import { signatureHeaders } from './secret.ts'

/** A receiver should store the event, answer, and only then work on it. */
const ANSWER_MS_MAX = 10_000
/** The body of an answer is ignored; this much is received, so that the receiver can finish sending it. */
const ANSWER_BYTES_MAX = 64 * 1024

/** One request of a delivery, and what came of it. */
export interface DeliveryTry {
  startedAt: Date
  durationMs: number
  statusCode: number | null
  /** Null when it was delivered: answered with 2xx. */
  error: string | null
}

/** Sends an event once, signed with each of the secrets. Throws nothing but the reason of `signal`. */
export async function tryDelivery(
  to: { url: string; secrets: readonly string[] },
  event: WebhookEvent,
  by: { clock: Clock; rules: OutgoingRules; signal?: AbortSignal },
): Promise<DeliveryTry> {
  const body = JSON.stringify(eventJson(event))
  const startedAt = new Date(by.clock.now())
  const beganMs = performance.now()
  const ended = (statusCode: number | null, error: string | null): DeliveryTry => ({
    startedAt,
    statusCode,
    error,
    durationMs: Math.round(performance.now() - beganMs),
  })
  try {
    const { status } = await guardedFetch(to.url, {
      field: 'url',
      rules: by.rules,
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'sluice-webhooks/1',
        'content-length': String(Buffer.byteLength(body)),
        ...signatureHeaders(to.secrets, event.id, startedAt, body),
      },
      timeoutMs: ANSWER_MS_MAX,
      bytesMax: ANSWER_BYTES_MAX,
      answer: 'drained',
      redirectsMax: 0,
      ...(by.signal === undefined ? {} : { signal: by.signal }),
    })
    const isDelivered = status >= 200 && status < 300
    return ended(
      status,
      isDelivered ? null : `url answered ${status}: only 2xx counts, and redirects are not followed.`,
    )
  } catch (error) {
    if (!(error instanceof OutgoingError)) throw error
    return ended(null, error.message)
  }
}

const FIRST_RETRY_MS = 5_000
const RETRY_FACTOR = 3
const RETRY_MS_MAX = 6 * 3_600_000
const RETRY_JITTER = 0.2

/**
 * Milliseconds until the next try, after `failures` (1 or more) in a row: 5 s, 15 s, 45 s, ... up to 6 hours.
 * Each is up to a fifth shorter or longer, so that deliveries that failed together are not repeated together.
 * `random` is in [0, 1).
 */
export function retryDelayMs(failures: number, random: number): number {
  const delayMs = Math.min(RETRY_MS_MAX, FIRST_RETRY_MS * RETRY_FACTOR ** (failures - 1))
  return Math.round(delayMs * (1 - RETRY_JITTER + 2 * RETRY_JITTER * random))
}
