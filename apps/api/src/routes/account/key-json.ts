import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { BUDGET_INTERVALS, SCOPES } from '../../keys/api-key.ts'
import type { BudgetState } from '../../keys/budget.ts'
import { keyDetails, type StoredKey } from '../../keys/key-store.ts'

export const budgetSchema = z
  .object({
    tokens: z.int().meta({ description: 'Generated tokens that may be submitted per interval.' }),
    interval: z
      .enum(BUDGET_INTERVALS)
      .meta({
        description:
          'day = the UTC day; 30d = 30 UTC days counted from the day the key was made; none = for as long as the key lives.',
      }),
    used_tokens: z
      .int()
      .meta({ description: 'Of videos submitted in this interval; what ends unused comes back.' }),
    remaining_tokens: z.int().meta({ description: '0 where the budget was lowered below what is used.' }),
    resets_at: z.int().nullable(),
  })
  .meta({ id: 'Budget' })

export const keySchema = z
  .object({
    id: z.string().meta({ example: 'key_01m84f0j8df20bh2fw7sqrp04k' }),
    object: z.literal('key'),
    account_id: z
      .string()
      .nullable()
      .meta({ description: "Null for the operator's keys and worker tokens." }),
    name: z.string(),
    prefix: z.string().meta({ description: 'What the key begins with.' }),
    scopes: z.array(z.enum(SCOPES)),
    models: z.array(z.string()).nullable().meta({ description: 'Null = every model.' }),
    token_budget: z.int().nullable(),
    budget_interval: z.enum(BUDGET_INTERVALS),
    requests_per_minute: z.int().nullable(),
    queued_max: z
      .int()
      .nullable()
      .meta({ description: 'Videos it may have queued; more are refused. Null = as many as the account.' }),
    running_max: z
      .int()
      .nullable()
      .meta({ description: 'Videos it may have running at once; more wait queued. Null = no limit.' }),
    created_at: z.int(),
    expires_at: z.int().nullable(),
    revoked_at: z.int().nullable(),
  })
  .meta({ id: 'Key' })

export const keyIdParams = z.object({
  id: z.string().meta({ description: 'The key.', example: 'key_01m84f0j8df20bh2fw7sqrp04k' }),
})

/** A key as the operator sees it: never the secret. */
export function keyJson(key: StoredKey): z.input<typeof keySchema> {
  return { id: key.id, object: 'key', ...keyDetails(key), revoked_at: unixSeconds(key.revoked_at) }
}

/** Where a key's budget stands; null without one. */
export function budgetJson(
  key: Pick<StoredKey, 'budget_interval'>,
  budget: BudgetState,
): z.input<typeof budgetSchema> | null {
  if (budget.budgetTokens === null || budget.remainingTokens === null) return null
  return {
    tokens: Number(budget.budgetTokens),
    interval: key.budget_interval,
    used_tokens: Number(budget.usedTokens),
    remaining_tokens: Number(budget.remainingTokens),
    resets_at: unixSeconds(budget.resetsAt),
  }
}
