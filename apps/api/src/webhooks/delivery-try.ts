import type { Clock } from '@sluice/shared/clock'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { guardedFetch } from '../outgoing/guarded-fetch.ts'
import { OutgoingError, type OutgoingRules } from '../outgoing/outgoing-url.ts'
import { eventJson, type WebhookEvent } from './event.ts'
import { signatureHeaders } from './secret.ts'

/** The body of an answer is ignored; this much is received, so that the receiver can finish sending it. */
const ANSWER_BYTES_MAX = 64 * 1024

/** The one status that says for good that nobody listens here. A 404 or 401 may heal with the next deploy. */
const GONE = 410

/** One request of a delivery, and what came of it. */
export interface DeliveryTry {
  startedAt: Date
  durationMs: number
  statusCode: number | null
  /** Null when it was delivered: answered with 2xx. */
  error: string | null
  /** The receiver answered 410: it wants nothing more, ever. */
  isGone: boolean
  /** What the answer's Retry-After asks for, at most an hour; 0 when it asks for nothing. */
  retryAfterMs: number
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
  const ended = (statusCode: number | null, error: string | null, retryAfterMs = 0): DeliveryTry => ({
    startedAt,
    statusCode,
    error,
    isGone: statusCode === GONE,
    retryAfterMs,
    durationMs: Math.round(performance.now() - beganMs),
  })
  try {
    const { status, headers } = await guardedFetch(to.url, {
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
      timeoutMs: TIME_LIMITS.webhookReceiver.answerMs,
      bytesMax: ANSWER_BYTES_MAX,
      answer: 'drained',
      redirectsMax: 0,
      ...(by.signal === undefined ? {} : { signal: by.signal }),
    })
    const isDelivered = status >= 200 && status < 300
    if (isDelivered) return ended(status, null)
    if (status === GONE) return ended(status, 'url answered 410: nothing more is sent to it.')
    return ended(
      status,
      `url answered ${status}: only 2xx counts, and redirects are not followed.`,
      retryAfterMs(headers['retry-after'], by.clock.now()),
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

/** A receiver that confuses seconds with milliseconds must not silence itself for weeks. */
const RETRY_AFTER_MS_MAX = 3_600_000

/**
 * Milliseconds that the header Retry-After asks to wait: seconds or a date, at most an hour. 0 when it is
 * absent, past or neither.
 */
export function retryAfterMs(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 0
  const waitMs = /^\s*\d{1,15}\s*$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - nowMs
  return Number.isNaN(waitMs) ? 0 : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, waitMs))
}

/**
 * Milliseconds until the next try, after `failures` (1 or more) in a row: 5 s, 15 s, 45 s, ... up to 6 hours.
 * Each is up to a fifth shorter or longer, so that deliveries that failed together are not repeated together.
 * Never before `notBeforeMs`, which the receiver asked for. `random` is in [0, 1).
 */
export function retryDelayMs(failures: number, random: number, notBeforeMs = 0): number {
  const delayMs = Math.min(RETRY_MS_MAX, FIRST_RETRY_MS * RETRY_FACTOR ** (failures - 1))
  return Math.max(notBeforeMs, Math.round(delayMs * (1 - RETRY_JITTER + 2 * RETRY_JITTER * random)))
}
