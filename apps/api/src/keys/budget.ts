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
 * key_budget that began after the current one. k = the key; i = its current interval.
 */
const USED_IN_LATER_ROWS = `(select coalesce(sum(used_tokens), 0)::bigint from key_budget
      where key_id = k.id and starts_at > i.starts_at)`

/** A budget as it stands, and the interval that tokens are taken from now. */
export interface OpenBudget {
  /** Null: the key has no budget any more. */
  budgetTokens: bigint | null
  startsAt: Date
  /** Of the interval that began at `startsAt`. */
  usedTokens: bigint
  /** Under shorter intervals, before the operator lengthened this key's interval. */
  usedLaterTokens: bigint
}

/**
 * Reads the budgets of keys by their id, to take tokens from. Call it after lockOwned, in a statement of its
 * own: ends of videos take the two locks in that order, and submissions of one account come one after the
 * other. The budget is read from the key's row, so that one that the operator changed counts at once.
 */
export async function readOpenBudgets(
  db: Database,
  keyIds: readonly string[],
): Promise<Map<string, OpenBudget>> {
  if (keyIds.length === 0) return new Map()
  const { rows } = await db.query<OpenBudget & { id: string }>({
    name: 'budgets-open',
    text: `select k.id, k.token_budget as "budgetTokens", i.starts_at as "startsAt",
      coalesce(b.used_tokens, 0) as "usedTokens", ${USED_IN_LATER_ROWS} as "usedLaterTokens"
    from api_key k
    cross join lateral (
      select budget_interval_start(k.budget_interval, k.created_at, now()) as starts_at
    ) i
    left join key_budget b on b.key_id = k.id and b.starts_at = i.starts_at
    where k.id = any ($1::text[])`,
    values: [keyIds],
  })
  return new Map(rows.map(({ id, ...budget }) => [id, budget]))
}

/**
 * The budget after `tokens` were taken from it. Throws SluiceError `budget_exceeded` when it does not cover
 * them. Pure.
 */
export function afterTaking(key: Key, tokens: bigint, budget: OpenBudget): OpenBudget {
  const { budgetTokens, usedTokens, usedLaterTokens } = budget
  if (budgetTokens === null) return budget
  if (usedTokens + usedLaterTokens + tokens > budgetTokens) {
    const remainingTokens = remainingOf(budgetTokens, usedTokens + usedLaterTokens)
    throw budgetExceeded(key, tokens, { budgetTokens, remainingTokens })
  }
  return { ...budget, usedTokens: usedTokens + tokens }
}

/** What is taken of a key's budget. */
export interface BudgetTake {
  keyId: string
  tokens: bigint
  /** As it was read in the same transaction. */
  budget: OpenBudget
}

/**
 * Writes what was taken of the budgets of different keys, in the submitting transaction: rolled back with it.
 * The schema refuses more than a budget has.
 */
export async function takeFromBudgets(db: Database, takes: readonly BudgetTake[]): Promise<void> {
  if (takes.length === 0) return
  await db.query({
    name: 'budgets-take',
    text: `insert into key_budget (key_id, starts_at, budget_tokens, used_tokens)
    select * from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[])
    on conflict (key_id, starts_at) do update
      set used_tokens = key_budget.used_tokens + excluded.used_tokens,
        budget_tokens = excluded.budget_tokens`,
    values: [
      takes.map(({ keyId }) => keyId),
      takes.map(({ budget }) => budget.startsAt),
      takes.map(({ budget: { budgetTokens, usedLaterTokens } }) => (budgetTokens ?? 0n) - usedLaterTokens),
      takes.map(({ tokens }) => tokens),
    ],
  })
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
    remainingTokens: row.token_budget === null ? null : remainingOf(row.token_budget, row.used_tokens),
    resetsAt: row.resets_at,
  }
}

function remainingOf(budgetTokens: bigint, usedTokens: bigint): bigint {
  return budgetTokens > usedTokens ? budgetTokens - usedTokens : 0n
}
