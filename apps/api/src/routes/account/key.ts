import { unixSeconds } from '@sluice/shared/clock'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { readAccount } from '../../accounts/account-store.ts'
import { hasPaid, readSpent } from '../../accounts/usage.ts'
import { accountRoute } from '../../http/route.ts'
import type { BudgetInterval } from '../../keys/api-key.ts'
import { readBudget } from '../../keys/budget.ts'
import { readKey, readLoad } from '../../keys/key-store.ts'
import { type DatedCredit, readDated } from '../../ledger/purse.ts'
import { moneyJson, moneyNumber } from '../money-json.ts'
import { accountJson, accountSchema } from './account-json.ts'
import { budgetJson, budgetSchema, keyJson, keySchema } from './key-json.ts'

const RESETS: Record<BudgetInterval, string | null> = { day: 'daily', '30d': '30d', none: null }

const ownKeySchema = keySchema
  .extend({
    budget: budgetSchema.nullable(),
    queued: z.int().meta({ description: 'Its videos in the queue now: what queued_max counts.' }),
    running: z
      .int()
      .meta({
        description: 'Its videos that hold a device or are on their way to one: what running_max counts.',
      }),
    account: accountSchema
      .pick({
        queued: true,
        queued_max: true,
        running: true,
        running_max: true,
        in_progress: true,
        unfinished_max: true,
        balance: true,
        balance_low: true,
      })
      .extend({
        next_expiry: z
          .object({ amount: z.string(), currency: z.string(), expires_at: z.int() })
          .nullable()
          .meta({ description: 'What of the balance expires next, and when. Null = nothing.' }),
      })
      .meta({
        description: 'The same of its account, whose limits and money are those of all its keys together.',
      }),
    spent: z
      .object({ total: moneySchema, day: moneySchema, week: moneySchema, month: moneySchema })
      .meta({
        description:
          'What was charged for its videos, exact: ever, and in the UTC day, week (from Monday) and month that are now.',
      }),
    data: z
      .object({
        label: z.string(),
        limit: z
          .number()
          .nullable()
          .meta({ description: 'The budget, in generated tokens: what limits a key here. Null = none.' }),
        limit_remaining: z.number().nullable().meta({ description: 'Generated tokens.' }),
        limit_reset: z.string().nullable().meta({ description: 'daily, 30d or null.' }),
        usage: z
          .number()
          .meta({ description: 'Money, as a number that may be rounded; spent has it exactly.' }),
        usage_daily: z.number(),
        usage_weekly: z.number(),
        usage_monthly: z.number(),
        is_free_tier: z.boolean().meta({ description: 'The account never paid.' }),
        rate_limit: z
          .object({ requests: z.int(), interval: z.string() })
          .meta({ description: 'Requests per minute; -1 = no limit.' }),
      })
      .meta({ description: 'The shape OpenRouter users know.' }),
  })
  .meta({ id: 'OwnKey' })

export const readKeyRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/key',
    operationId: 'readKey',
    tag: 'account',
    summary: 'What this key may do, what it does, and what it has spent',
    answers: { 200: { description: 'The key that asks.', schema: ownKeySchema } },
    errors: [],
  },
  async ({ context, key }) => {
    const { db } = context
    const [stored, budget, spent, paid, load, account, dated] = await Promise.all([
      readKey(db, key.id),
      readBudget(db, key.id),
      readSpent(db, key.id),
      hasPaid(db, key.accountId),
      readLoad(db, key),
      readAccount(db, key.accountId),
      readDated(db, [key.accountId], context.config.currency),
    ])
    const { currency } = context.config
    const money = (amountMicros: bigint) => moneyJson(amountMicros, currency)
    const { balance, balance_low } = accountJson(account, currency)
    return {
      ...keyJson(stored),
      budget: budgetJson(stored, budget),
      queued: Number(load.queued),
      running: Number(load.running),
      account: {
        queued: Number(account.queued),
        queued_max: account.queued_max,
        running: Number(account.running),
        running_max: account.running_max,
        in_progress: Number(account.in_flight),
        unfinished_max: account.unfinished_max,
        balance,
        balance_low,
        next_expiry: nextExpiryJson(dated.get(key.accountId)?.dated ?? [], currency),
      },
      spent: {
        total: money(spent.totalMicros),
        day: money(spent.dayMicros),
        week: money(spent.weekMicros),
        month: money(spent.monthMicros),
      },
      data: {
        label: stored.name === '' ? `${stored.prefix}...` : stored.name,
        limit: budget.budgetTokens === null ? null : Number(budget.budgetTokens),
        limit_remaining: budget.remainingTokens === null ? null : Number(budget.remainingTokens),
        limit_reset: budget.budgetTokens === null ? null : RESETS[stored.budget_interval],
        usage: moneyNumber(spent.totalMicros),
        usage_daily: moneyNumber(spent.dayMicros),
        usage_weekly: moneyNumber(spent.weekMicros),
        usage_monthly: moneyNumber(spent.monthMicros),
        is_free_tier: !paid,
        rate_limit: { requests: stored.requests_per_minute ?? -1, interval: '1m' },
      },
    }
  },
)

/** What expires at the same moment, first of all that expires. */
function nextExpiryJson(dated: readonly DatedCredit[], currency: string) {
  const [first] = dated
  if (first === undefined) return null
  const at = first.expiresAt.getTime()
  const micros = dated
    .filter(({ expiresAt }) => expiresAt.getTime() === at)
    .reduce((sum, { balanceMicros }) => sum + balanceMicros, 0n)
  return { ...moneyJson(micros, currency), expires_at: unixSeconds(first.expiresAt) }
}
