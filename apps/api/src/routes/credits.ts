import { formatMicros } from '@sluice/shared/money'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { one } from '../db/database.ts'
import { moneyNumber } from '../http/money-number.ts'
import { accountRoute } from '../http/route.ts'
import { readOwned } from '../ledger/accounts.ts'

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

export const readCredits = accountRoute(
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
  async ({ context, key, response }) => {
    const { currency } = context.config
    const owned = await readOwned(context.db, key.accountId, currency)
    const { used } = one(
      await context.db.query<{ used: string }>({
        text: `select coalesce(sum(charged_micros), 0)::text as used from video where account_id = $1 and charged_micros > 0`,
        values: [key.accountId],
      }),
    )
    const money = (amountMicros: bigint) => ({ amount: formatMicros(amountMicros), currency })
    const balance = owned.customer.balanceMicros + owned.trial.balanceMicros
    response.json({
      object: 'credits',
      balance: money(balance),
      paid: money(owned.customer.balanceMicros),
      trial: money(owned.trial.balanceMicros),
      held: money(owned.hold.balanceMicros),
      used: money(BigInt(used)),
      data: {
        total_credits: moneyNumber(balance + owned.hold.balanceMicros + BigInt(used)),
        total_usage: moneyNumber(BigInt(used)),
      },
    })
  },
)
