import type { Clock } from '@sluice/shared/clock'
import { guardedFetch } from '../outgoing/guarded-fetch.ts'
import { OutgoingError, type OutgoingRules } from '../outgoing/outgoing-url.ts'
import { eventJson, type WebhookEvent } from './event.ts'
import { signatureHeaders } from './secret.ts'

/** A receiver takes the event first and works later. */
const ANSWER_MS_MAX = 10_000
/** Nobody reads the answer's body; it is heard out so far, so that the receiver need not see its connection break. */
const ANSWER_BYTES_MAX = 64 * 1024

/** One try at a delivery. */
export interface Try {
  startedAt: Date
  durationMs: number
  statusCode: number | null
  /** Null when it was delivered: answered with 2xx. */
  error: string | null
}

/** Sends an event once, signed with each secret. Throws only the reason of `signal`. */
export async function sendEvent(
  to: { url: string; secrets: readonly string[] },
  event: WebhookEvent,
  by: { clock: Clock; rules: OutgoingRules; signal?: AbortSignal },
): Promise<Try> {
  const body = JSON.stringify(eventJson(event))
  const startedAt = new Date(by.clock.now())
  const beganMs = performance.now()
  const ended = (statusCode: number | null, error: string | null): Try => ({
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
    return ended(
      status,
      status >= 200 && status < 300
        ? null
        : `url answered ${status}: only 2xx counts, and redirects are not followed.`,
    )
  } catch (error) {
    if (!(error instanceof OutgoingError)) throw error
    return ended(null, error.message)
  }
}
