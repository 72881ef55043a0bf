import { afterTaking, type OpenBudget } from '../keys/budget.ts'
import { BalanceTooSmallError, holdOf } from '../ledger/hold.ts'
import type { Transfer } from '../ledger/post.ts'
import type { Purse } from '../ledger/purse.ts'
import { type Market, type Priced, priceBy } from '../prices/price.ts'
import { balanceTooSmall } from './balance-too-small.ts'
import { checkCeilings } from './ceilings.ts'
import type { QueueLimits } from './check-queue.ts'
import { priceTermsOf } from './create-request.ts'
import { type Start, startOf } from './flex-start.ts'
import type { PreparedSubmission } from './prepared.ts'

/**
 * What submissions are decided by: read while the money of their accounts was locked. Each that is accepted
 * changes it for those after it.
 */
export interface Standing {
  market: Market
  /** By account. */
  purses: Map<string, Purse>
  queues: QueueLimits
  /** By key, of keys that had a budget when they were read. */
  budgets: Map<string, OpenBudget>
}

/** What an accepted submission costs and takes. */
export interface Accepted {
  priced: Priced
  start: Start
  hold: Transfer
  /** Null: its key has no budget. */
  budget: OpenBudget | null
}

/**
 * Accepts the submission as `standing` is, and changes that to how it is with it. Throws SluiceError, or the
 * reason why its caller is gone; then nothing is changed.
 */
export function decide(standing: Standing, submission: PreparedSubmission): Accepted {
  const { key, request, generation, model, resolution, videoId } = submission
  const { market } = standing
  const { currency } = market
  const priced = priceBy(market, { ...generation, model, resolution }, priceTermsOf(request))
  const start = startOf(request, priced, market.flex)
  checkCeilings(request, priced, currency)
  standing.queues.check(key)
  const budget = afterTakingOf(standing, submission, priced)
  const { transfer, after } = affordable(
    standingOf(standing.purses, key.accountId),
    videoId,
    priced,
    currency,
  )
  // Without an Idempotency-Key a caller that is gone gets no video: it would not know that it has one.
  if (submission.idempotencyKey === null) submission.callerGone.throwIfAborted()

  standing.queues.add(key)
  standing.purses.set(key.accountId, after)
  if (budget !== null) standing.budgets.set(key.id, budget)
  return { priced, start, hold: transfer, budget }
}

function standingOf<T>(standings: ReadonlyMap<string, T>, accountId: string): T {
  const standing = standings.get(accountId)
  if (standing === undefined) throw new Error(`account ${accountId} was not read`)
  return standing
}

/** The budget of its key with the tokens taken; null when there is none, or none any more. */
function afterTakingOf(
  { budgets }: Standing,
  { key }: PreparedSubmission,
  priced: Priced,
): OpenBudget | null {
  const budget = budgets.get(key.id)
  if (budget === undefined || budget.budgetTokens === null) return null
  return afterTaking(key, priced.tokens, budget)
}

/** The hold. Throws SluiceError `insufficient_balance` when the purse does not cover the cost. */
function affordable(
  purse: Purse,
  videoId: string,
  { costMicros }: Priced,
  currency: string,
): ReturnType<typeof holdOf> {
  try {
    return holdOf(videoId, costMicros, purse)
  } catch (error) {
    if (!(error instanceof BalanceTooSmallError)) throw error
    throw balanceTooSmall(error.neededMicros, error.availableMicros, currency)
  }
}
