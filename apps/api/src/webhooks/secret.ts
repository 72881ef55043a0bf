import { randomBytes } from 'node:crypto'
import { Webhook } from 'standardwebhooks'

const SECRET_BYTES = 32
/** How long a secret still signs after a rotation: a day. */
export const OVERLAP_SECONDS = 86_400
/** An SDK repeats an unanswered request within minutes. */
export const REPEAT_WINDOW_SECONDS = 600

/** The secret that signs deliveries, and the one before it as long as that signs too. */
export interface SigningSecret {
  secret: string
  /** Null when there is none or its time is over. */
  previous_secret: string | null
  previous_secret_until: Date | null
}

/** Columns of a SigningSecret, for tables that hold one. */
export const SECRET_COLUMNS = `secret,
    case when previous_secret_until > now() then previous_secret end as previous_secret,
    case when previous_secret_until > now() then previous_secret_until end as previous_secret_until`

/** A new random secret, as Standard Webhooks writes it. */
export function newSecret(): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
}

/** Every secret that signs now, the current one first. */
export function secretsOf({
  secret,
  previous_secret,
}: Omit<SigningSecret, 'previous_secret_until'>): string[] {
  return previous_secret === null ? [secret] : [secret, previous_secret]
}

/**
 * The three headers of Standard Webhooks. Receivers recognise repeats by `webhook-id`, the same in every
 * delivery try, refuse old timestamps, and accept a request when one of its signatures is by the secret they
 * know.
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
