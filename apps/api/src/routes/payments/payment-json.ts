import { unixSeconds } from '@sluice/shared/clock'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { pageOfRows, pageSchema, requireCursorOf } from '../../http/pages.ts'
import {
  listPayments,
  PAYMENT_PROBLEMS,
  PAYMENT_STATUSES,
  type Payment,
  type PaymentStatus,
} from '../../payments/payment-store.ts'
import type { Services } from '../../services.ts'
import { moneyJson } from '../money-json.ts'

export const paymentSchema = z
  .object({
    id: z.string(),
    object: z.literal('payment'),
    provider: z.literal('stripe'),
    session: z.string().meta({ description: "The provider's checkout.", example: 'cs_live_a1B2c3' }),
    intent: z
      .string()
      .nullable()
      .meta({
        description:
          "What its refunds and disputes name. null, as of a subscription's payment: they take nothing back by themselves.",
        example: 'pi_3PqR5t',
      }),
    account_id: z.string().nullable(),
    reference: z
      .string()
      .nullable()
      .meta({ description: 'Whom the checkout said it is for.', example: 'acct_01m84f0j8df20bh2fw7sqrp04k' }),
    status: z
      .enum(PAYMENT_STATUSES)
      .meta({
        description:
          'pending: not paid yet, by a slow way of paying. unassigned: paid, and nobody was credited. dismissed: put aside by the operator, or paid back before anybody was credited.',
      }),
    problem: z
      .enum(PAYMENT_PROBLEMS)
      .nullable()
      .meta({
        description:
          'Why nobody was credited. reversed_in_other_currency: somebody was, and a refund or dispute in another currency than the payment took nothing back.',
      }),
    paid: moneySchema.meta({ description: 'By the customer, tax and shipping included.' }),
    credited: moneySchema.meta({ description: 'To the account, without tax and shipping.' }),
    taken_back: moneySchema.meta({ description: 'Of that, for refunds and disputes.' }),
    refunded: moneySchema.meta({
      description: "Of that, by the operator's refund; the provider's takes nothing more.",
    }),
    owed: moneySchema.meta({
      description: 'To be taken back, and spent already: taken once the account has paid money again.',
    }),
    waived: moneySchema.meta({ description: 'Never taken back, because the operator said so.' }),
    is_live: z.boolean().meta({ description: "False in the provider's test mode." }),
    created_at: z.int(),
    credited_at: z.int().nullable(),
  })
  .meta({ id: 'Payment' })

export const paymentIdParams = z.object({
  id: z.string().meta({ description: 'The payment.', example: 'pay_01m84f0j8df20bh2fw7sqrp04k' }),
})

export const paymentAnswers = { 200: { description: 'The payment.', schema: paymentSchema } }
export const paymentPageAnswers = {
  200: { description: 'One page, newest first.', schema: pageSchema(paymentSchema, 'PaymentList') },
}

/** A payment; `currency` is the ledger's. */
export function paymentJson(payment: Payment, currency: string): z.input<typeof paymentSchema> {
  const money = (amountMicros: bigint) => moneyJson(amountMicros, currency)
  return {
    id: payment.id,
    object: 'payment',
    provider: payment.provider,
    session: payment.session,
    intent: payment.intent,
    account_id: payment.account_id,
    reference: payment.reference,
    status: payment.status,
    problem: payment.problem,
    paid: moneyJson(payment.paid_micros, payment.currency),
    credited: money(payment.credited_micros),
    taken_back: money(payment.reversed_micros),
    refunded: money(payment.refunded_micros),
    owed: money(payment.owed_micros),
    waived: money(payment.waived_micros),
    is_live: payment.is_live,
    created_at: unixSeconds(payment.created_at),
    credited_at: unixSeconds(payment.credited_at),
  }
}

/** A page of payments. Throws SluiceError `not_found` for a malformed `after`. */
export async function paymentPage(
  { config, db }: Services,
  filter: { accountId?: string | undefined; status?: PaymentStatus | undefined },
  { after, limit }: { after?: string | undefined; limit: number },
) {
  requireCursorOf('pay', after)
  const rows = await listPayments(db, filter, { after, limit })
  return pageOfRows(rows, limit, (row) => paymentJson(row, config.currency))
}
