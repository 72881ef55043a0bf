import { type Database, one } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { BudgetInterval } from './api-key.ts'
import type { Key } from './authenticate.ts'

const INTERVAL_WORDS: Record<BudgetInterval, string> = {
  day: 'this UTC day',
  '30d': 'these 30 days',
  none: 'its whole life',
}

/**
 * Usage recorded under shorter intervals, before the operator lengthened this key's interval: rows of
 * key_budget that began after the current one. $1 = key; i = the current interval.
 */
const USED_IN_LATER_ROWS = `(select coalesce(sum(used_tokens), 0)::bigint from key_budget
      where key_id = $1 and starts_at > i.starts_at)`

/**
 * Takes `tokens` out of the budget of the current interval, in the submitting transaction: rolled back with
 * it. Returns when that interval began, or null when the key has no budget. The budget is read from the key's
 * row and written into the interval's row with the tokens, so that a budget that the operator changed counts
 * at once. Call it after lockOwned: ends of videos take the two locks in that order, and submissions of one
 * account come one after the other. Throws SluiceError `budget_exceeded` when the budget does not cover them.
 */
export async function takeFromBudget(db: Database, key: Key, tokens: bigint): Promise<Date | null> {
  if (key.limits.tokenBudget === null) return null
  const { rows } = await db.query<{ starts_at: Date }>({
    name: 'budget-take',
    text: `insert into key_budget (key_id, starts_at, budget_tokens, used_tokens)
    select k.id, i.starts_at, k.token_budget - l.tokens, $2
    from api_key k
    cross join lateral (
      select budget_interval_start(k.budget_interval, k.created_at, now()) as starts_at
    ) i
    cross join lateral (select ${USED_IN_LATER_ROWS} as tokens) l
    where k.id = $1 and $2 <= k.token_budget - l.tokens
    on conflict (key_id, starts_at) do update
      set used_tokens = key_budget.used_tokens + excluded.used_tokens, budget_tokens = excluded.budget_tokens
      where key_budget.used_tokens + excluded.used_tokens <= excluded.budget_tokens
    returning starts_at`,
    values: [key.id, tokens],
  })
  const taken = rows[0]
  if (taken !== undefined) return taken.starts_at
  const budget = await readBudget(db, key.id)
  // The operator took the budget off the key since it was authenticated.
  if (budget.budgetTokens === null) return null
  throw budgetExceeded(key, tokens, budget)
}

/** The error for a video of more tokens than the key has left. */
export function budgetExceeded(
  { limits: { budgetInterval } }: Key,
  tokens: bigint,
  { budgetTokens, remainingTokens }: Pick<BudgetState, 'budgetTokens' | 'remainingTokens'>,
): SluiceError {
  return new SluiceError(
    'budget_exceeded',
    `This video generates ${tokens} tokens; ` +
      `this key has ${remainingTokens} of ${budgetTokens} left for ${INTERVAL_WORDS[budgetInterval]}.`,
  )
}

/**
 * Returns unused tokens to the interval they were taken from. Call it after the settlement, which locks the
 * account's money first.
 */
export async function returnToBudget(
  db: Database,
  keyId: string,
  startsAt: Date,
  tokens: bigint,
): Promise<void> {
  await db.query({
    name: 'budget-return',
    text: 'update key_budget set used_tokens = used_tokens - $3 where key_id = $1 and starts_at = $2',
    values: [keyId, startsAt, tokens],
  })
}

/** Where a key's budget stands in the current interval. */
export interface BudgetState {
  /** Null: the key has no budget. */
  budgetTokens: bigint | null
  usedTokens: bigint
  /** Null: no budget. 0 where the operator lowered the budget below what was used. */
  remainingTokens: bigint | null
  /** When the next interval begins; null when the budget never starts anew. */
  resetsAt: Date | null
}

interface BudgetRow {
  token_budget: bigint | null
  used_tokens: bigint
  resets_at: Date | null
}

/** Reads a key's budget; the key must exist. */
export async function readBudget(db: Database, keyId: string): Promise<BudgetState> {
  const row = one(
    await db.query<BudgetRow>({
      name: 'budget-read',
      text: `select k.token_budget, coalesce(b.used_tokens, 0) + ${USED_IN_LATER_ROWS} as used_tokens,
        case
          when k.token_budget is null then null
          when k.budget_interval = 'day' then i.starts_at + interval '1 day'
          when k.budget_interval = '30d' then i.starts_at + interval '30 days'
        end as resets_at
      from api_key k
      cross join lateral (
        select budget_interval_start(k.budget_interval, k.created_at, now()) as starts_at
      ) i
      left join key_budget b on b.key_id = k.id and b.starts_at = i.starts_at
      where k.id = $1`,
      values: [keyId],
    }),
  )
  return {
    budgetTokens: row.token_budget,
    usedTokens: row.used_tokens,
    remainingTokens: remainingOf(row),
    resetsAt: row.resets_at,
  }
}

function remainingOf({ token_budget, used_tokens }: BudgetRow): bigint | null {
  if (token_budget === null) return null
  return token_budget > used_tokens ? token_budget - used_tokens : 0n
}
