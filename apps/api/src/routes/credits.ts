import { formatMicros } from '@sluice/shared/money'
import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { one } from '../db/database.ts'
import { accountKey } from '../http/authentication.ts'
import { readOwned } from '../ledger/accounts.ts'

/** GET /v1/credits: what the account can spend, what is held for queued videos; `data` is the shape OpenRouter's users know. */
export function readCredits(context: Context): RequestHandler {
  return async (request, response) => {
    const key = await accountKey(context, request, 'videos:read')
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
        total_credits: formatMicros(balance + owned.hold.balanceMicros + BigInt(used)),
        total_usage: formatMicros(BigInt(used)),
      },
    })
  }
}
