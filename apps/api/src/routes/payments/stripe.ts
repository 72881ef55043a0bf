import { z } from 'zod'
import { SluiceError } from '../../errors.ts'
import { publicRoute } from '../../http/route.ts'
import { PAYMENT_STATUSES } from '../../payments/payment-store.ts'
import { receivePaymentEvent } from '../../payments/receive.ts'
import { eventSchema, paymentEventOf } from '../../payments/stripe-event.ts'
import { missingSignature } from '../../payments/stripe-signature.ts'
import type { Services } from '../../services.ts'

const RESULTS = [...PAYMENT_STATUSES, 'noted', 'ignored'] as const

export const receiveStripeEventRoute = publicRoute(
  {
    method: 'post',
    path: '/v1/payments/stripe',
    operationId: 'receiveStripeEvent',
    tag: 'payments',
    summary: "Where Stripe's webhook says what was paid",
    description:
      "For Stripe alone: the header Stripe-Signature is checked with the endpoint's signing secret. The same event again changes nothing.",
    headers: z.object({
      'Stripe-Signature': z
        .string()
        .meta({ example: 't=1790000000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e7' }),
    }),
    isSigned: true,
    body: z
      .instanceof(Buffer)
      .meta({
        id: 'StripeEvent',
        description: 'An event of Stripe, as it sent it.',
        override: { type: 'object', additionalProperties: true },
      }),
    answers: {
      200: {
        description: 'The event was heard.',
        schema: z
          .object({
            object: z.literal('payment_event'),
            result: z
              .enum(RESULTS)
              .meta({
                description:
                  'What its payment is now. noted: it is about a payment that is not known yet. ignored: it means nothing here.',
              }),
            payment_id: z.string().nullable().meta({ example: 'pay_01m84f0j8df20bh2fw7sqrp04k' }),
          })
          .meta({ id: 'PaymentEvent' }),
      },
    },
    errors: ['not_found', 'invalid_signature', 'invalid_value', 'unavailable'],
  },
  async ({ context, request, body }) => {
    const { result, paymentId } = await receive(context, body, request.get('stripe-signature'))
    context.metrics.paymentEvents.inc({ result })
    return { object: 'payment_event', result, payment_id: paymentId }
  },
)

/** Throws SluiceError when it is not from Stripe, or not as Stripe says that its events are. */
async function receive(
  context: Services,
  body: Buffer,
  header: string | undefined,
): Promise<{ result: (typeof RESULTS)[number]; paymentId: string | null }> {
  if (header === undefined) throw missingSignature()
  if (context.stripeSignature === null)
    throw new SluiceError('not_found', 'No payments are taken here: SLUICE_STRIPE_WEBHOOK_SECRET is not set.')
  const event = readEvent(context.stripeSignature(body, header))
  if (event === null) return { result: 'ignored', paymentId: null }
  const payment = await receivePaymentEvent(context, event)
  return { result: payment?.status ?? 'noted', paymentId: payment?.id ?? null }
}

function readEvent(signed: unknown) {
  try {
    return paymentEventOf(eventSchema.parse(signed))
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error
    const issue = error.issues[0]
    throw new SluiceError(
      'invalid_value',
      `The event is not as Stripe documents it: ${issue?.path.join('.')}: ${issue?.message}.`,
    )
  }
}
