import type { StripeSettings } from '../config/payments.ts'

/** Where a customer pays, so that the payment names their account; null where no payments are taken. */
export function topUpUrl(stripe: StripeSettings | null, accountId: string): string | null {
  if (stripe?.paymentLink === undefined) return null
  const url = new URL(stripe.paymentLink)
  url.searchParams.set('client_reference_id', accountId)
  return url.href
}
