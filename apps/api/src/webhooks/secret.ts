import { randomBytes } from 'node:crypto'
import { Webhook } from 'standardwebhooks'

const SECRET_BYTES = 32
/** How long a secret still signs after another took its place. */
export const OVERLAP_SECONDS = 86_400

/** A new signing secret as Standard Webhooks writes it. */
export function newSecret(): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
}

/**
 * The three headers of Standard Webhooks. Receivers compare `webhook-id`, the same with every try, to tell repeats, refuse
 * old timestamps, and need one signature of theirs among those given.
 */
export function signatureHeaders(
  secrets: readonly string[],
  eventId: string,
  sentAt: Date,
  body: string,
): Record<string, string> {
  return {
    'webhook-id': eventId,
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1_000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(eventId, sentAt, body)).join(' '),
  }
}
