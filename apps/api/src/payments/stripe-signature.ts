import type { Clock } from '@sluice/shared/clock'
import type { StripeSettings } from '../config/payments.ts'
import { SluiceError } from '../errors.ts'

/**
 * Checks that bytes come from Stripe, by its own library, and returns the event in them. Throws SluiceError
 * `invalid_signature`: made with another secret, of other bytes, or more than five minutes ago.
 */
export type SignatureCheck = (body: Buffer, header: string) => unknown

/**
 * Loads Stripe's library, which takes 35 MB and a tenth of a second: without settings it is left out, and the
 * check is null.
 */
export async function openSignatureCheck(
  settings: StripeSettings | null,
  clock: Clock,
): Promise<SignatureCheck | null> {
  if (settings === null) return null
  const secret = settings.webhookSecret
  const { default: Stripe } = await import('stripe')
  return (body, header) => {
    try {
      return Stripe.webhooks.constructEvent(body, header, secret, undefined, undefined, clock.now())
    } catch (error) {
      throw refused((error as Error).message.split('\n')[0] ?? '')
    }
  }
}

function refused(why: string): SluiceError {
  return new SluiceError('invalid_signature', `Stripe-Signature does not fit: ${why}`, 'Stripe-Signature')
}

/** Without the header a call is none of Stripe's, whatever is set here. */
export function missingSignature(): SluiceError {
  return refused('the header is missing')
}
