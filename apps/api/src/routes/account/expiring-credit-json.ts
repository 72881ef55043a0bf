import { unixSeconds } from '@sluice/shared/clock'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { CREDIT_KINDS, type DatedCredit } from '../../ledger/purse.ts'
import { amountField } from '../amount-field.ts'
import { moneyJson } from '../money-json.ts'

export const expiringCreditSchema = z
  .object({
    id: z.string().meta({ example: 'credit_01m84f0j8df20bh2fw7sqrp04k' }),
    object: z.literal('expiring_credit'),
    kind: z
      .enum(CREDIT_KINDS)
      .meta({ description: 'Whether it was paid for: only then it can be refunded.' }),
    granted: moneySchema,
    left: moneySchema.meta({ description: 'What can be spent of it; what is held is not in it.' }),
    expires_at: z.int(),
    created_at: z.int(),
  })
  .meta({ id: 'ExpiringCredit' })

/** Credit with an expiry date, of which something is left. */
export function expiringCreditJson(
  credit: Omit<DatedCredit, 'id' | 'expiries'>,
  currency: string,
): z.input<typeof expiringCreditSchema> {
  return {
    id: credit.creditId,
    object: 'expiring_credit',
    kind: credit.kind,
    granted: moneyJson(credit.grantedMicros, currency),
    left: moneyJson(credit.balanceMicros, currency),
    expires_at: unixSeconds(credit.expiresAt),
    created_at: unixSeconds(credit.createdAt),
  }
}

/** The threshold of `balance.low`. */
export const balanceLowField = amountField(1n)
  .nullable()
  .meta({
    description: 'When the balance falls below it, balance.low is sent to the webhooks. Null = never.',
    example: '5',
  })
