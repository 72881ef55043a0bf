import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { accountsWithLapsed, expireLapsed } from '../ledger/expire.ts'
import { lockPurse } from '../ledger/purse.ts'
import { sayCrossingsOf } from './balance-alerts.ts'

interface CreditExpiry {
  /** Takes up no more accounts, and waits for the one under way. */
  stop(): Promise<void>
}

/** Credits of one look; as long as it finds as many accounts, the next look follows at once. */
const BATCH = 100

/**
 * Posts the expiry of credit whose date has passed. Nothing of it can be spent from that moment on, whenever
 * this comes. Every API process may run it: an account's money is locked, and looked at again.
 */
export function startCreditExpiry(context: Context, onError: (error: unknown) => void): CreditExpiry {
  const stopping = new AbortController()
  const { signal } = stopping
  const expire = async () => {
    while (!signal.aborted) {
      try {
        while (!signal.aborted && (await expireDue(context, signal)));
      } catch (error) {
        onError(error)
      }
      await pause(context.config.timings.expireEveryMs, signal)
    }
  }
  const running = expire()
  return {
    stop: async () => {
      stopping.abort()
      await endedWithin(TIME_LIMITS.apiStop.partMs, running, onError)
    },
  }
}

/** Returns whether there may be more. Throws the error of the first account to fail; the others are done. */
async function expireDue(context: Context, signal: AbortSignal): Promise<boolean> {
  const accountIds = await accountsWithLapsed(context.db, BATCH)
  const failures: unknown[] = []
  for (const accountId of accountIds) {
    if (signal.aborted) return false
    await expireCredits(context, accountId).catch((error: unknown) => failures.push(error))
  }
  if (failures.length > 0) throw failures[0]
  return accountIds.length > 0
}

/** Posts the expiry of an account's lapsed credit, and says what that does to its balance. */
export async function expireCredits(context: Context, accountId: string): Promise<void> {
  const { config, db, systemAccounts } = context
  await transaction(db, async (tx) => {
    const before = await lockPurse(tx, accountId, config.currency)
    if (before.lapsed.length === 0) return
    const after = await expireLapsed(tx, before, systemAccounts)
    await sayCrossingsOf(tx, { accountId, before, after, wasRefused: false }, config.currency)
  })
}
