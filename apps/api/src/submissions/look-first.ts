import type { Model } from '@sluice/shared/models/model'
import { sayCrossingsOf } from '../accounts/balance-alerts.ts'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { budgetExceeded, readBudget } from '../keys/budget.ts'
import { lockPurse, readPurse, spendableMicros } from '../ledger/purse.ts'
import { inTurn } from '../places.ts'
import { type Priced, priceVideo } from '../prices/price.ts'
import { balanceTooSmall } from './balance-too-small.ts'
import { checkCeilings } from './ceilings.ts'
import { QueueLimits } from './check-queue.ts'
import { priceTermsOf } from './create-request.ts'
import type { UnsizedGeneration } from './generation-of.ts'
import { asksForPromise } from './promised-time.ts'
import type { Submission } from './submission.ts'

/**
 * Whether anything costly comes before the transaction that looks at the money: an image to fetch and decode,
 * a service of the operator to ask, or a promise, which takes a simulation and counts for all who ask later.
 */
export function isCostly({ config }: Pick<Context, 'config'>, { request }: Submission): boolean {
  const { input_reference: image, refine_prompt: isRefined } = request
  return asksForPromise(request) || image !== undefined || config.moderation !== null || isRefined === true
}

/**
 * Looks at ceilings, queue, budget and balance before anything costly is done for a submission that they do
 * not allow. Nothing is locked or taken: the transaction looks again. What may be a repeat is let through,
 * since its video may be there already. Throws SluiceError.
 */
export async function lookFirst(
  context: Context,
  key: AccountKey,
  submission: Submission,
  unsized: UnsizedGeneration,
): Promise<void> {
  if (!isCostly(context, submission)) return
  const { db, config, places } = context
  await inTurn(places.calls, key.accountId, async () => {
    try {
      const priced = await leastPrice(context, submission, unsized)
      checkCeilings(submission.request, priced, config.currency)
      const queues = await QueueLimits.read(db, [key])
      queues.check(key)
      const budget = await readBudget(db, key.id)
      if (budget.remainingTokens !== null && priced.tokens > budget.remainingTokens)
        throw budgetExceeded(key, priced.tokens, budget)
      const availableMicros = spendableMicros(await readPurse(db, key.accountId, config.currency))
      if (priced.costMicros > availableMicros) {
        if (!queues.alertsOf(key.accountId).isExhausted)
          await sayExhausted(context, key.accountId, priced.costMicros)
        throw balanceTooSmall(priced.costMicros, availableMicros, config.currency)
      }
    } catch (error) {
      if (!(await mayHaveVideo(context, key, submission))) throw error
    }
  })
}

/** Says that the balance does not cover a video that was asked for, unless it does by now. */
async function sayExhausted({ db, config }: Context, accountId: string, neededMicros: bigint): Promise<void> {
  await transaction(db, async (tx) => {
    const purse = await lockPurse(tx, accountId, config.currency)
    if (spendableMicros(purse) >= neededMicros) return
    const change = { accountId, before: purse, after: purse, wasRefused: true }
    await sayCrossingsOf(tx, change, config.currency)
  })
}

/** The price of the video; without a size, of the cheapest that its image may give it. */
async function leastPrice(
  { db, config }: Context,
  { request }: Submission,
  { model, generation, size }: UnsizedGeneration,
): Promise<Priced> {
  const sizes = size === null ? sizesWithoutOne(model) : [size]
  const terms = priceTermsOf(request)
  const [first, ...others] = await Promise.all(
    sizes.map((candidate) => priceVideo(db, { ...generation, ...candidate, model }, terms, config)),
  )
  if (first === undefined) throw new RangeError(`model ${model.id} has no size`)
  return others.reduce((least, priced) => (priced.tokens < least.tokens ? priced : least), first)
}

/** The sizes among which a request that names none gets the one nearest to its image's shape. */
function sizesWithoutOne(model: Model): Model['sizes'] {
  const [cheapest] = model.resolutions
  return model.sizes.filter(({ resolution }) => resolution === cheapest)
}

/** Whether an earlier submission of this request may have made its video. */
async function mayHaveVideo(
  { db }: Pick<Context, 'db'>,
  key: AccountKey,
  { idempotencyKey, tryNumber }: Submission,
): Promise<boolean> {
  if (idempotencyKey === null && (tryNumber ?? 0) === 0) return false
  const { rowCount } = await db.query({
    name: 'may-have-video',
    text: `
      select where exists (select from video where account_id = $1 and idempotency_key = $2)
        or ($2 is null and exists (select from unconfirmed_answer where key_id = $3))`,
    values: [key.accountId, idempotencyKey, key.id],
  })
  return (rowCount ?? 0) > 0
}
