import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { readChargedMicros } from '../../accounts/usage.ts'
import { accountRoute } from '../../http/route.ts'
import { readOwned } from '../../ledger/accounts.ts'
import { moneyJson, moneyNumber } from '../money-json.ts'

const creditsSchema = z
  .object({
    object: z.literal('credits'),
    balance: moneySchema.meta({ description: 'What can be spent: paid + trial.' }),
    paid: moneySchema,
    trial: moneySchema,
    held: moneySchema.meta({ description: 'Set aside for videos that have not ended.' }),
    used: moneySchema,
    data: z
      .object({ total_credits: z.number(), total_usage: z.number() })
      .meta({
        description:
          'The shape OpenRouter users know: numbers, which may be rounded. The amounts above are exact.',
      }),
  })
  .meta({ id: 'Credits' })

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
  async ({ context, key }) => {
    const { currency } = context.config
    const owned = await readOwned(context.db, key.accountId, currency)
    const usedMicros = await readChargedMicros(context.db, key.accountId)
    const balanceMicros = owned.customer.balanceMicros + owned.trial.balanceMicros
    const money = (amountMicros: bigint) => moneyJson(amountMicros, currency)
    return {
      object: 'credits',
      balance: money(balanceMicros),
      paid: money(owned.customer.balanceMicros),
      trial: money(owned.trial.balanceMicros),
      held: money(owned.hold.balanceMicros),
      used: money(usedMicros),
      data: {
        total_credits: moneyNumber(balanceMicros + owned.hold.balanceMicros + usedMicros),
        total_usage: moneyNumber(usedMicros),
      },
    }
  },
)
