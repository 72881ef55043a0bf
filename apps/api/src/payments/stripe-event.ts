import { AMOUNT_MICROS_MAX, formatMicros } from '@sluice/shared/money'
import { z } from 'zod'
import type { PaymentEvent, PaymentSaid, ReversalSaid } from './payment-event.ts'
import { microsOfMinor } from './stripe-amount.ts'

/** What has no account on purpose: paid for something else than this service. */
const NOT_OURS = 'none'

const REFERENCE_CHARS_MAX = 200
const currencySchema = z
  .string()
  .regex(/^[a-z]{3}$/i)
  .transform((text) => text.toUpperCase())
const amountSchema = z.int().min(0)
/** As long as Stripe says that ids get, and without what the database cannot keep. */
const idSchema = z.string().regex(/^[\x21-\x7e]{1,255}$/)
/** An id, or the object itself where it was asked for whole. */
const namedSchema = z.union([idSchema, z.object({ id: idSchema }).transform(({ id }) => id)])
/** Until the year 9999. */
const timeSchema = z.int().min(0).max(253_402_300_799)
/** What an amount may be depends on its currency. */
const isAmount = ({ amount, currency }: { amount: number | null; currency: string | null }) =>
  amount === null || currency === null || microsOfMinor(amount, currency) <= AMOUNT_MICROS_MAX
const AMOUNT_TOO_LARGE = `more than ${formatMicros(AMOUNT_MICROS_MAX)} of its currency`
/** Fields that some checkouts have not. */
const absent = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullish().transform((value) => value ?? null)

export const eventSchema = z.object({
  id: idSchema,
  type: z.string(),
  created: timeSchema,
  livemode: z.boolean(),
  data: z.object({ object: z.looseObject({}) }),
})
type StripeEvent = z.infer<typeof eventSchema>

const sessionSchema = z
  .object({
    id: idSchema,
    mode: z.string(),
    payment_status: z.string(),
    client_reference_id: absent(z.string()),
    metadata: absent(z.record(z.string(), z.string())),
    currency: absent(currencySchema),
    amount_total: absent(amountSchema),
    total_details: absent(
      z.object({ amount_tax: absent(amountSchema), amount_shipping: absent(amountSchema) }),
    ),
    payment_intent: absent(namedSchema),
  })
  .refine(({ amount_total: amount, currency }) => isAmount({ amount, currency }), {
    path: ['amount_total'],
    error: AMOUNT_TOO_LARGE,
  })

const reversalSchema = z
  .object({
    id: idSchema,
    amount: amountSchema,
    currency: currencySchema,
    payment_intent: absent(namedSchema),
    status: absent(z.string()),
  })
  .refine(isAmount, { path: ['amount'], error: AMOUNT_TOO_LARGE })

/**
 * What an event of Stripe means here; null when it means nothing. Refunds come with their state, disputes
 * when the money goes and when it comes back, which an inquiry does not move. Throws ZodError when an event
 * that means something is not as Stripe documents it. Pure.
 */
export function paymentEventOf(event: StripeEvent): PaymentEvent | null {
  switch (event.type) {
    case 'checkout.session.completed':
    case 'checkout.session.async_payment_succeeded':
      return paymentOf(event, null)
    case 'checkout.session.async_payment_failed':
      return paymentOf(event, 'failed')
    case 'refund.created':
    case 'refund.updated':
    case 'refund.failed':
    case 'charge.refund.updated':
      return reversalOf(event, 'refund', ({ status }) => status !== 'failed' && status !== 'canceled')
    case 'charge.dispute.funds_withdrawn':
      return reversalOf(event, 'dispute', () => true)
    case 'charge.dispute.funds_reinstated':
      return reversalOf(event, 'dispute', () => false)
    default:
      return null
  }
}

function paymentOf({ data, livemode }: StripeEvent, state: 'failed' | null): PaymentSaid | null {
  const session = sessionSchema.parse(data.object)
  const { amount_total: total, currency, total_details: details, metadata } = session
  const reference = session.client_reference_id ?? metadata?.sluice_account ?? null
  if (total === null || total === 0 || currency === null || metadata?.sluice_account === NOT_OURS) return null
  const notOurs = (details?.amount_tax ?? 0) + (details?.amount_shipping ?? 0)
  return {
    kind: 'payment',
    provider: 'stripe',
    session: session.id,
    intent: session.payment_intent,
    state: state ?? (session.payment_status === 'paid' ? 'paid' : 'unpaid'),
    isSubscription: session.mode !== 'payment',
    reference: reference?.replaceAll('\0', '').slice(0, REFERENCE_CHARS_MAX) ?? null,
    currency,
    paidMicros: microsOfMinor(total, currency),
    netMicros: microsOfMinor(Math.max(0, total - notOurs), currency),
    isLive: livemode,
  }
}

function reversalOf(
  { data, created }: StripeEvent,
  cause: ReversalSaid['cause'],
  stands: (reversal: z.infer<typeof reversalSchema>) => boolean,
): ReversalSaid | null {
  const reversal = reversalSchema.parse(data.object)
  if (reversal.payment_intent === null) return null
  return {
    kind: 'reversal',
    provider: 'stripe',
    reversal: reversal.id,
    cause,
    intent: reversal.payment_intent,
    currency: reversal.currency,
    amountMicros: microsOfMinor(reversal.amount, reversal.currency),
    stands: stands(reversal),
    saidAt: new Date(created * 1_000),
  }
}
