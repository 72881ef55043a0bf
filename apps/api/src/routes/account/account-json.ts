import { unixSeconds } from '@sluice/shared/clock'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import type { Account } from '../../accounts/account-store.ts'
import { moneyJson } from '../money-json.ts'

export const accountSchema = z
  .object({
    id: z.string().meta({ example: 'acct_01m84f0j8df20bh2fw7sqrp04k' }),
    object: z.literal('account'),
    name: z.string(),
    weight: z.int().meta({ description: 'Share of the GPUs relative to other accounts; 100 is usual.' }),
    queued_max: z.int(),
    unfinished_max: z
      .int()
      .nullable()
      .meta({ description: 'Queued and in progress together; more are refused. Null = no limit.' }),
    running_max: z
      .int()
      .nullable()
      .meta({
        description:
          'Videos it may have running at once, over all its keys; more wait queued. Null = no limit.',
      }),
    promises: z.boolean().meta({ description: 'Its videos may be promised a time.' }),
    balance: moneySchema.meta({ description: 'What can be spent: paid + trial.' }),
    paid: moneySchema.meta({ description: 'What can be refunded.' }),
    trial: moneySchema.meta({ description: 'Promotional credit, which nobody paid for.' }),
    balance_low: moneySchema
      .nullable()
      .meta({ description: 'When the balance falls below it, balance.low is sent. Null = never.' }),
    held: moneySchema.meta({ description: 'Set aside for videos that have not ended.' }),
    queued: z.int().meta({ description: 'Videos in the queue.' }),
    in_progress: z.int(),
    running: z
      .int()
      .meta({
        description:
          'Of those in progress, the ones that hold a device or are on their way to one: what running_max counts.',
      }),
    created_at: z.int(),
    last_submitted_at: z.int().nullable(),
  })
  .meta({ id: 'Account' })

export const accountIdParams = z.object({
  id: z.string().meta({ description: 'The account.', example: 'acct_01m84f0j8df20bh2fw7sqrp04k' }),
})

/** An account as the operator sees it. */
export function accountJson(account: Account, currency: string): z.input<typeof accountSchema> {
  const money = (amountMicros: bigint) => moneyJson(amountMicros, currency)
  return {
    id: account.id,
    object: 'account',
    name: account.name,
    weight: account.weight,
    queued_max: account.queued_max,
    unfinished_max: account.unfinished_max,
    running_max: account.running_max,
    promises: account.promises,
    balance: money(account.paid_micros + account.trial_micros),
    paid: money(account.paid_micros),
    trial: money(account.trial_micros),
    balance_low: account.balance_low_micros === null ? null : money(account.balance_low_micros),
    held: money(account.held_micros),
    queued: Number(account.queued),
    in_progress: Number(account.in_flight),
    running: Number(account.running),
    created_at: unixSeconds(account.created_at),
    last_submitted_at: unixSeconds(account.last_submitted_at),
  }
}
