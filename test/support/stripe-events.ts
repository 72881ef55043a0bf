import Stripe from 'stripe'
import type { Answer } from './start-api.ts'

export const STRIPE_SECRET = 'whsec_0123456789abcdefghijklmnop'

let number = 0
/** An id as Stripe makes them, that no other test has. */
function stripeId(kind: 'cs_test' | 'pi' | 're' | 'dp' | 'evt'): string {
  number += 1
  return `${kind}_${process.pid}x${number}`
}

/** An event as Stripe sends it. */
export interface StripeEvent {
  id: string
  object: 'event'
  type: string
  created: number
  livemode: boolean
  data: { object: Record<string, unknown> }
}

export function stripeEvent(
  type: string,
  object: Record<string, unknown>,
  created = Math.floor(Date.now() / 1_000),
): StripeEvent {
  return { id: stripeId('evt'), object: 'event', type, created, livemode: false, data: { object } }
}

/** A checkout's session as its events show it, for `cents` of US dollars unless it says otherwise. */
export function checkout(
  accountId: string | null,
  cents: number,
  more: Record<string, unknown> = {},
): Record<string, unknown> & { id: string; payment_intent: string } {
  return {
    id: stripeId('cs_test'),
    object: 'checkout.session',
    mode: 'payment',
    status: 'complete',
    payment_status: 'paid',
    client_reference_id: accountId,
    metadata: {},
    currency: 'usd',
    amount_subtotal: cents,
    amount_total: cents,
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
    payment_intent: stripeId('pi'),
    ...more,
  }
}

/** A refund or dispute of a payment as its events show it. */
export function reversal(
  kind: 're' | 'dp',
  intent: string,
  cents: number,
  status: string,
): Record<string, unknown> & { id: string } {
  return {
    id: stripeId(kind),
    object: kind === 're' ? 'refund' : 'dispute',
    amount: cents,
    currency: 'usd',
    payment_intent: intent,
    charge: 'ch_test',
    status,
  }
}

/** Sends an event as Stripe does: signed by its own library. */
export async function sendStripeEvent(
  url: string,
  event: StripeEvent,
  { secret = STRIPE_SECRET, timestamp = Math.floor(Date.now() / 1_000) } = {},
): Promise<Answer> {
  const payload = JSON.stringify(event, null, 2)
  const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp })
  return postStripe(url, payload, { 'stripe-signature': signature })
}

/** Sends bytes to where Stripe sends its events. */
export async function postStripe(
  url: string,
  payload: string,
  headers: Record<string, string>,
): Promise<Answer> {
  const response = await fetch(`${url}/v1/payments/stripe`, {
    method: 'POST',
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: payload,
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}
