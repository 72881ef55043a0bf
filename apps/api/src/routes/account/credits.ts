import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { readAccount } from '../../accounts/account-store.ts'
import { readChargedMicros } from '../../accounts/usage.ts'
import { accountRoute } from '../../http/route.ts'
import { readPurse, spendableMicros, spendableOf } from '../../ledger/purse.ts'
import { topUpUrl } from '../../payments/top-up-url.ts'
import type { Services } from '../../services.ts'
import { moneyJson, moneyNumber } from '../money-json.ts'
import { expiringCreditJson, expiringCreditSchema } from './expiring-credit-json.ts'

export const creditsSchema = z
  .object({
    object: z.literal('credits'),
    balance: moneySchema.meta({ description: 'What can be spent: paid + trial.' }),
    paid: moneySchema,
    trial: moneySchema.meta({ description: 'Promotional credit, which nobody paid for.' }),
    held: moneySchema.meta({ description: 'Set aside for videos that have not ended.' }),
    used: moneySchema,
    balance_low: moneySchema
      .nullable()
      .meta({ description: 'When the balance falls below it, balance.low is sent. Null = never.' }),
    expiring: z
      .array(expiringCreditSchema)
      .meta({
        description:
          'What of the balance expires, in the order in which it is spent: before what never expires.',
      }),
    top_up_url: z
      .string()
      .nullable()
      .meta({
        description: 'Where to pay for this account; null where no payments are taken.',
        example: 'https://buy.stripe.com/abc?client_reference_id=acct_01m84f0j8df20bh2fw7sqrp04k',
      }),
    data: z
      .object({ total_credits: z.number(), total_usage: z.number() })
      .meta({
        description:
          'The shape OpenRouter users know: numbers, which may be rounded. The amounts above are exact.',
      }),
  })
  .meta({ id: 'Credits' })

/** What an account can spend. */
export async function creditsJson(
  { config: { currency, stripe }, db }: Services,
  accountId: string,
): Promise<z.input<typeof creditsSchema>> {
  const [purse, usedMicros, { balance_low_micros: lowMicros }] = await Promise.all([
    readPurse(db, accountId, currency),
    readChargedMicros(db, accountId),
    readAccount(db, accountId),
  ])
  const [balanceMicros, heldMicros] = [spendableMicros(purse), purse.hold.balanceMicros]
  const money = (amountMicros: bigint) => moneyJson(amountMicros, currency)
  return {
    object: 'credits',
    balance: money(balanceMicros),
    paid: money(spendableOf(purse, 'paid')),
    trial: money(spendableOf(purse, 'promotional')),
    held: money(heldMicros),
    used: money(usedMicros),
    balance_low: lowMicros === null ? null : money(lowMicros),
    expiring: purse.dated.map((credit) => expiringCreditJson(credit, currency)),
    top_up_url: topUpUrl(stripe, accountId),
    data: {
      total_credits: moneyNumber(balanceMicros + heldMicros + usedMicros),
      total_usage: moneyNumber(usedMicros),
    },
  }
}

export const readCreditsRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/credits',
    operationId: 'readCredits',
    tag: 'account',
    summary: 'What the account can spend',
    answers: { 200: { description: 'Balances.', schema: creditsSchema } },
    errors: [],
  },
  async ({ context, key }) => creditsJson(context, key.accountId),
)
