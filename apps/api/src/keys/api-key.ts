import { createHash } from 'node:crypto'

/** Scopes of keys that belong to no account; each such key has one of them. */
export const OPERATOR_SCOPES = ['admin', 'admin:read', 'metrics:read', 'worker'] as const
export type OperatorScope = (typeof OPERATOR_SCOPES)[number]

export const SCOPES = ['videos:read', 'videos:write', ...OPERATOR_SCOPES] as const
export type Scope = (typeof SCOPES)[number]

/** What a scope allows besides its own calls. */
const INCLUDED: Partial<Record<Scope, readonly Scope[]>> = {
  admin: ['admin:read', 'metrics:read'],
  'admin:read': ['metrics:read'],
}

/** Whether a key of these scopes may make the calls of `scope`. */
export function allows(scopes: readonly Scope[], scope: Scope): boolean {
  return scopes.some((own) => own === scope || INCLUDED[own]?.includes(scope) === true)
}

/**
 * When a budget starts anew: each UTC day, every 30 UTC days counted from the day the key was made, or never.
 */
export const BUDGET_INTERVALS = ['day', '30d', 'none'] as const
export type BudgetInterval = (typeof BUDGET_INTERVALS)[number]

/** What an account's key may do beside its scopes; null and `none` mean no limit. */
export interface KeyLimits {
  /** Ids of the models it may ask for. */
  models: readonly string[] | null
  /** Generated tokens it may submit per interval. */
  tokenBudget: bigint | null
  budgetInterval: BudgetInterval
  requestsPerMinute: number | null
  /** Videos it may have queued; more are refused. */
  queuedMax: number | null
  /** Videos it may have running at once; more wait queued. */
  runningMax: number | null
}

export const NO_LIMITS: KeyLimits = {
  models: null,
  tokenBudget: null,
  budgetInterval: 'none',
  requestsPerMinute: null,
  queuedMax: null,
  runningMax: null,
}

/** The limits of a key as table api_key has them. */
export interface LimitColumns {
  models: string[] | null
  token_budget: bigint | null
  budget_interval: BudgetInterval
  requests_per_minute: number | null
  queued_max: number | null
  running_max: number | null
}

/** The columns of a LimitColumns. */
export const LIMIT_COLUMNS =
  'models, token_budget, budget_interval, requests_per_minute, queued_max, running_max'

/** The limits of a row of table api_key. */
export function limitsOf(row: LimitColumns): KeyLimits {
  return {
    models: row.models,
    tokenBudget: row.token_budget,
    budgetInterval: row.budget_interval,
    requestsPerMinute: row.requests_per_minute,
    queuedMax: row.queued_max,
    runningMax: row.running_max,
  }
}

/** The limits in the order of LIMIT_COLUMNS, as a statement's values. */
export function limitValues(limits: KeyLimits): unknown[] {
  return [
    limits.models,
    limits.tokenBudget,
    limits.budgetInterval,
    limits.requestsPerMinute,
    limits.queuedMax,
    limits.runningMax,
  ]
}

/** SHA-256 of a key: enough for 256 random bits, and fast enough for every request. */
export function hashKey(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
